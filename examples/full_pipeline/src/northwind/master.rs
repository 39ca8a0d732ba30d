use std::collections::BTreeSet;

use super::{
    places::{Place, WITH_REGION, WITHOUT_REGION},
    random::Random,
    sql::{Cents, Inserts, NoBytes, Sql},
    staff::{EMPLOYEES, TERRITORIES, TERRITORIES_OF_EMPLOYEES},
};

/// Everything that does not grow: customers, suppliers, products, employees and their kind.
#[derive(Debug, Clone)]
pub(super) struct Master {
    pub(super) customers: Vec<Customer>,
    suppliers: Vec<Supplier>,
    pub(super) products: Vec<Product>,
    shipper_phones: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) party: Party,
    fax: Option<String>,
}

#[derive(Debug, Clone)]
struct Supplier {
    party: Party,
    fax: Option<String>,
    homepage: Option<String>,
}

/// What a customer and a supplier have in common.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) company: String,
    contact: String,
    title: &'static str,
    pub(super) address: String,
    pub(super) place: Place,
    pub(super) postal_code: Option<String>,
    phone: String,
}

#[derive(Debug, Clone)]
pub(super) struct Product {
    name: String,
    supplier: u32,
    category: u32,
    quantity_per_unit: String,
    pub(super) price: Cents,
    in_stock: u32,
    on_order: u32,
    reorder_level: u32,
    discontinued: u32,
}

impl Master {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, MASTER_STREAM);
        let mut people = pairs(&FIRST_NAMES, &LAST_NAMES, &mut random);
        let customers = customers(&mut people, &mut random);
        let suppliers = suppliers(&mut people, &mut random);
        let products = products(&mut random);
        let shipper_phones = SHIPPERS.map(|_| random.fill("(999) 555-9999")).to_vec();
        Self { customers, suppliers, products, shipper_phones }
    }

    pub(super) fn statements(&self) -> Vec<String> {
        let tables = [
            self.categories(),
            self.customer_rows(),
            employees(),
            self.supplier_rows(),
            self.product_rows(),
            regions(),
            self.shippers(),
            territories(),
            employee_territories(),
        ];
        tables.into_iter().flat_map(Inserts::finish).collect()
    }

    fn categories(&self) -> Inserts {
        let mut rows = Inserts::into("ods.categories");
        for (id, category) in (1_u32..).zip(&CATEGORIES) {
            rows.row(&[&id, &category.name, &category.description, &NoBytes]);
        }
        rows
    }

    fn customer_rows(&self) -> Inserts {
        let mut rows = Inserts::into("ods.customers");
        for customer in &self.customers {
            rows.row(&customer.party.between(&[&customer.id], &[&customer.fax]));
        }
        rows
    }

    fn supplier_rows(&self) -> Inserts {
        let mut rows = Inserts::into("ods.suppliers");
        for (id, supplier) in (1_u32..).zip(&self.suppliers) {
            rows.row(&supplier.party.between(&[&id], &[&supplier.fax, &supplier.homepage]));
        }
        rows
    }

    fn product_rows(&self) -> Inserts {
        let mut rows = Inserts::into("ods.products");
        for (id, product) in (1_u32..).zip(&self.products) {
            rows.row(&[
                &id,
                &product.name,
                &product.supplier,
                &product.category,
                &product.quantity_per_unit,
                &product.price,
                &product.in_stock,
                &product.on_order,
                &product.reorder_level,
                &product.discontinued,
            ]);
        }
        rows
    }

    fn shippers(&self) -> Inserts {
        let mut rows = Inserts::into("ods.shippers");
        for ((id, company), phone) in (1_u32..).zip(&SHIPPERS).zip(&self.shipper_phones) {
            rows.row(&[&id, company, phone]);
        }
        rows
    }
}

impl Party {
    fn new(
        company: String,
        contact: String,
        title: &'static str,
        place: Place,
        random: &mut Random,
    ) -> Self {
        let number = random.between(2, 180);
        let street = random.pick(place.street_words());
        Self {
            company,
            contact,
            title,
            // Each language puts the number where it likes; in front is understood everywhere.
            address: format!("{number} {street}"),
            place,
            postal_code: place.postal_pattern().map(|pattern| random.fill(pattern)),
            phone: random.fill(place.phone_pattern()),
        }
    }

    /// A row with the columns from `company_name` to `phone`, in the order that both tables have.
    fn between<'a>(&'a self, head: &[&'a dyn Sql], tail: &[&'a dyn Sql]) -> Vec<&'a dyn Sql> {
        let middle: [&dyn Sql; 9] = [
            &self.company,
            &self.contact,
            &self.title,
            &self.address,
            &self.place.city,
            &self.place.region,
            &self.postal_code,
            &self.place.country,
            &self.phone,
        ];
        [head, &middle, tail].concat()
    }
}

/// 91 customers in 69 towns: every town once, and 22 of them again, so that 31 have a region.
fn customers(people: &mut impl Iterator<Item = String>, random: &mut Random) -> Vec<Customer> {
    let again = WITH_REGION.iter().take(7).chain(WITHOUT_REGION.iter().take(15));
    let mut places: Vec<Place> =
        WITH_REGION.iter().chain(&WITHOUT_REGION).chain(again).copied().collect();
    random.shuffle(&mut places);
    // The two that the story is about live where its readers expect them to.
    for (index, city) in ["Dijon", "Molde"].into_iter().enumerate() {
        if let Some(found) = places.iter().position(|place| place.city == city) {
            places.swap(index, found);
        }
    }
    let mut faxes: Vec<bool> = (0..places.len()).map(|index| index >= WITHOUT_FAX.0).collect();
    random.shuffle(&mut faxes);
    let known = [(VINET, "Vinetier Cellars"), (RICSU, "Ricsund Provisions")];
    let mut names = known
        .into_iter()
        .map(|(id, company)| (Some(id), company.to_owned()))
        .chain(pairs(&LAST_NAMES, &TRADES, random).map(|company| (None, company)))
        .collect::<Vec<_>>()
        .into_iter();
    let mut ids = BTreeSet::from([VINET.to_owned(), RICSU.to_owned()]);
    let titles = CONTACT_TITLES.iter().take(12).cycle();
    let mut customers = Vec::new();
    for ((place, has_fax), title) in places.into_iter().zip(faxes).zip(titles) {
        let Some((known, company)) = names.next() else { break };
        let id = known.map_or_else(|| new_id(&company, &mut ids), str::to_owned);
        let contact = people.next().unwrap_or_default();
        let party = Party::new(company, contact, title, place, random);
        let fax = has_fax.then(|| random.fill(place.phone_pattern()));
        customers.push(Customer { id, party, fax });
    }
    customers.sort_by(|a, b| a.id.cmp(&b.id));
    customers
}

/// Three letters of the first word and two of the second, or the next free letters after them.
fn new_id(company: &str, taken: &mut BTreeSet<String>) -> String {
    let mut words = company.split(' ');
    let mut part = |length| {
        let word = words.next().unwrap_or_default();
        word.chars().filter(char::is_ascii_alphabetic).take(length).collect::<String>()
    };
    let id = format!("{}{}", part(3), part(2)).to_ascii_uppercase();
    let stem: String = id.chars().take(4).collect();
    let others = ('A'..='Z').map(|letter| format!("{stem}{letter}"));
    let free = std::iter::once(id.clone()).chain(others).find(|id| !taken.contains(id));
    let id = free.unwrap_or(id);
    taken.insert(id.clone());
    id
}

/// 29 suppliers in 29 towns, 9 of them with a region.
fn suppliers(people: &mut impl Iterator<Item = String>, random: &mut Random) -> Vec<Supplier> {
    let mut places: Vec<Place> =
        WITH_REGION.iter().take(9).chain(WITHOUT_REGION.iter().take(20)).copied().collect();
    random.shuffle(&mut places);
    let mut faxes: Vec<bool> = (0..places.len()).map(|index| index >= WITHOUT_FAX.1).collect();
    random.shuffle(&mut faxes);
    let mut companies = pairs(&MAKERS, &MAKES, random);
    let titles = CONTACT_TITLES.iter().cycle();
    let mut suppliers = Vec::new();
    for (((index, place), has_fax), title) in (0..).zip(places).zip(faxes).zip(titles) {
        let company = companies.next().unwrap_or_default();
        let homepage = (index % 6 == 2).then(|| {
            let site: String =
                company.to_ascii_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
            format!("Our range#https://www.{site}.example/catalogue.html")
        });
        let contact = people.next().unwrap_or_default();
        let party = Party::new(company, contact, title, place, random);
        let fax = has_fax.then(|| random.fill(place.phone_pattern()));
        suppliers.push(Supplier { party, fax, homepage });
    }
    suppliers
}

fn products(random: &mut Random) -> Vec<Product> {
    // 61 prices from 2.50 to 263.50, most of them low; 16 of them twice.
    let price = |step: u32| Cents((250 + 35 * step + step.pow(4) / 540) / 5 * 5);
    let mut prices: Vec<Cents> = (0..61).chain((1..60).step_by(3).take(16)).map(price).collect();
    let count = prices.len();
    random.shuffle(&mut prices);
    let mut suppliers: Vec<u32> = (1..=29).cycle().take(count).collect();
    random.shuffle(&mut suppliers);
    let mut ordered: Vec<u32> = [10, 20, 30, 40, 50, 60, 70, 80, 100]
        .into_iter()
        .cycle()
        .take(17)
        .chain(std::iter::repeat(0))
        .take(count)
        .collect();
    random.shuffle(&mut ordered);
    let mut stocks: Vec<u32> =
        [0, 0, 0, 0, 0, 125].into_iter().chain((0..71).map(|_| random.between(3, 123))).collect();
    random.shuffle(&mut stocks);
    let mut discontinued: Vec<u32> = (0..count).map(|index| u32::from(index < 8)).collect();
    random.shuffle(&mut discontinued);
    let mut names = CATEGORIES.each_ref().map(|kind| pairs(&QUALITIES, &kind.goods, random));
    let mut products = Vec::new();
    let rows = prices.into_iter().zip(suppliers).zip(ordered).zip(stocks).zip(discontinued);
    for (index, ((((price, supplier), on_order), in_stock), discontinued)) in (0_u32..).zip(rows) {
        let category = index % 8;
        let Some(goods) = names.get_mut(category as usize) else { break };
        let (count, size) = (random.pick(&COUNTS), random.pick(&SIZES));
        let container = random.pick(&CONTAINERS);
        products.push(Product {
            name: goods.next().unwrap_or_default(),
            supplier,
            category: category + 1,
            quantity_per_unit: format!("{count} {container} x {size}"),
            price,
            in_stock,
            on_order,
            reorder_level: random.below(7) * 5,
            discontinued,
        });
    }
    products
}

fn employees() -> Inserts {
    let mut rows = Inserts::into("ods.employees");
    // The root must be there before who reports to it, and so on down.
    let mut order: Vec<_> = (1_u32..).zip(&EMPLOYEES).collect();
    order.sort_by_key(|(id, employee)| match (id, employee.reports_to) {
        (_, None) => 0,
        (5, _) => 1,
        _ => 2,
    });
    for (id, employee) in order {
        rows.row(&[
            &id,
            &employee.last_name,
            &employee.first_name,
            &employee.title,
            &employee.courtesy,
            &employee.born,
            &employee.hired,
            &employee.address,
            &employee.city,
            &employee.region,
            &employee.postal_code,
            &employee.country,
            &employee.phone,
            &employee.extension,
            &NoBytes,
            &employee.notes,
            &employee.reports_to,
            &format!("http://staff.example/portraits/{}.bmp", id % 5),
        ]);
    }
    rows
}

fn regions() -> Inserts {
    let mut rows = Inserts::into("ods.region");
    for (id, name) in (1_u32..).zip(["Eastern", "Western", "Northern", "Southern"]) {
        rows.row(&[&id, &name]);
    }
    rows
}

fn territories() -> Inserts {
    let mut rows = Inserts::into("ods.territories");
    for (id, name, region) in &TERRITORIES {
        rows.row(&[id, name, region]);
    }
    rows
}

fn employee_territories() -> Inserts {
    let mut rows = Inserts::into("ods.employee_territories");
    let employees = (1_u32..)
        .zip(TERRITORIES_OF_EMPLOYEES)
        .flat_map(|(id, count)| std::iter::repeat_n(id, count));
    for (employee, (territory, ..)) in employees.zip(&TERRITORIES) {
        rows.row(&[&employee, territory]);
    }
    rows
}

/// Every pair of a first and a second word, in any order.
fn pairs(
    first: &[&'static str],
    second: &[&'static str],
    random: &mut Random,
) -> impl Iterator<Item = String> + use<> {
    let mut pairs: Vec<String> =
        first.iter().flat_map(|a| second.iter().map(move |b| format!("{a} {b}"))).collect();
    random.shuffle(&mut pairs);
    pairs.into_iter()
}

/// Known to the story by name.
pub(super) const VINET: &str = "VINET";
pub(super) const RICSU: &str = "RICSU";

/// How many customers and suppliers are without.
const WITHOUT_FAX: (usize, usize) = (22, 16);
/// Far from the numbers of blocks of orders, which are streams too.
const MASTER_STREAM: u64 = u64::MAX;

struct Category {
    name: &'static str,
    description: &'static str,
    goods: [&'static str; 5],
}

const CATEGORIES: [Category; 8] = [
    Category {
        name: "Hot Drinks",
        description: "Teas, coffees and cocoa",
        goods: ["Black Tea", "Rooibos", "Coffee Beans", "Drinking Cocoa", "Mint Infusion"],
    },
    Category {
        name: "Preserves",
        description: "Jams, chutneys, honeys, mustards and whatever keeps in jars",
        goods: ["Plum Jam", "Quince Jelly", "Honey", "Tomato Chutney", "Mustard"],
    },
    Category {
        name: "Baked Goods",
        description: "Biscuits, crispbreads and cakes",
        goods: ["Oat Biscuits", "Rye Crisps", "Shortbread", "Gingerbread", "Almond Cake"],
    },
    Category {
        name: "Cheese & Curd",
        description: "From cow, goat and sheep",
        goods: ["Goat Cheese", "Curd", "Blue Cheese", "Sheep Cheese", "Butter"],
    },
    Category {
        name: "Pasta & Rice",
        description: "Grains, flakes and noodles",
        goods: ["Noodles", "Brown Rice", "Barley", "Oat Flakes", "Dumplings"],
    },
    Category {
        name: "Smoked Meat",
        description: "Hams and sausages",
        goods: ["Ham", "Salami", "Pork Sausage", "Venison", "Duck Breast"],
    },
    Category {
        name: "Nuts & Fruit",
        description: "Dried, roasted and candied",
        goods: ["Apricots", "Hazelnuts", "Apple Rings", "Walnuts", "Raisins"],
    },
    Category {
        name: "Sea & River",
        description: "Fish, shells and seaweed",
        goods: ["Herring", "Trout", "Mussels", "Seaweed", "Smoked Eel"],
    },
];

const QUALITIES: [&str; 6] = ["Old Mill", "Harbour", "Farmhouse", "Golden", "Hillside", "Sunday"];
const COUNTS: [&str; 9] = ["6", "8", "10", "12", "16", "18", "20", "24", "36"];
const CONTAINERS: [&str; 6] = ["jars", "bags", "tins", "boxes", "packs", "bottles"];
const SIZES: [&str; 8] = ["100 g", "125 g", "200 g", "250 g", "400 g", "500 g", "750 ml", "1 kg"];
const SHIPPERS: [&str; 6] = [
    "Swift Barge",
    "Three Harbours",
    "Overland Post",
    "Night Freight",
    "Carrier Goose",
    "Quay Lines",
];

const FIRST_NAMES: [&str; 20] = [
    "Ada", "Bruno", "Clara", "Dario", "Elin", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Katrin",
    "Lorenzo", "Marta", "Nils", "Olga", "Pavel", "Rosa", "Simon", "Thea", "Viktor",
];
const LAST_NAMES: [&str; 24] = [
    "Abelard",
    "Brandvold",
    "Castell",
    "Dunmore",
    "Ekberg",
    "Fontana",
    "Garrick",
    "Halvorsen",
    "Ilves",
    "Jansky",
    "Korhonen",
    "Lindqvist",
    "Marchetti",
    "Norgate",
    "Okafor",
    "Pellegrin",
    "Quintero",
    "Rosenau",
    "Salgado",
    "Tamworth",
    "Ullman",
    "Verhoeven",
    "Wexford",
    "Zielinski",
];
const TRADES: [&str; 8] = [
    "Provisions",
    "Delicatessen",
    "Fine Foods",
    "Market Hall",
    "Groceries",
    "Larder",
    "Tables",
    "and Daughters",
];
const MAKERS: [&str; 9] = [
    "Alder",
    "Birchwood",
    "Copper Kettle",
    "Dovecote",
    "Elderflower",
    "Foxglove",
    "Greenfield",
    "Heather",
    "Ironstone",
];
const MAKES: [&str; 5] = ["Mills", "Smokehouse", "Creamery", "Food Works", "Growers Union"];
const CONTACT_TITLES: [&str; 15] = [
    "Buyer",
    "Head Buyer",
    "Shop Owner",
    "Owner and Cook",
    "Stock Manager",
    "Order Clerk",
    "Purchasing Manager",
    "Deputy Purchasing Manager",
    "Accounts Manager",
    "Kitchen Manager",
    "Assistant to the Owner",
    "Warehouse Lead",
    "Export Manager",
    "Production Manager",
    "Head of Customer Relations",
];
