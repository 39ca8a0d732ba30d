/// A town with what its addresses look like. The towns exist; everybody in them is made up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) city: &'static str,
    pub(super) region: Option<&'static str>,
    pub(super) country: &'static str,
}

impl Place {
    /// The pattern of a postal code; Ireland had none in the years of the orders.
    pub(super) fn postal_pattern(&self) -> Option<&'static str> {
        Some(match self.country {
            "Ireland" => return None,
            "UK" => "AA9 9AA",
            "Canada" => "A9A 9A9",
            "Brazil" => "99999-999",
            "Australia" | "Denmark" | "Norway" => "9999",
            "India" => "999999",
            "Poland" => "99-999",
            "Portugal" => "9999",
            "Netherlands" => "9999 AA",
            "Greece" | "Sweden" => "999 99",
            "Japan" => "999-9999",
            "Chile" => "9999999",
            _ => "99999",
        })
    }

    /// The pattern of a telephone number within the country.
    pub(super) fn phone_pattern(&self) -> &'static str {
        match self.country {
            "USA" | "Canada" => "(999) 555-9999",
            "UK" => "(0999) 555-9999",
            "France" => "09.99.99.99.99",
            "Germany" => "0999-099999",
            "Brazil" | "Chile" | "Portugal" => "(99) 555-9999",
            "Japan" | "India" => "(099) 999-9999",
            _ => "09-99 99 99",
        }
    }

    pub(super) fn street_words(&self) -> &'static [&'static str] {
        match self.country {
            "France" => {
                &["rue des Tilleuls", "quai du Moulin", "place du Puits", "allée des Saules"]
            }
            "Germany" => &["Lindenstraße", "Am Mühlbach", "Brunnengasse", "Kastanienallee"],
            "Italy" => &["Via del Forno", "Piazza dei Tigli", "Via Lunga", "Via della Fonte"],
            "Spain" => &["Calle del Olmo", "Paseo del Río", "Plaza del Pozo", "Calle Larga"],
            "Portugal" | "Brazil" => {
                &["Rua das Amoreiras", "Travessa do Poço", "Rua do Moinho", "Largo da Fonte"]
            }
            "Chile" => {
                &["Camino del Molino", "Avenida Los Sauces", "Calle Larga", "Calle del Pozo"]
            }
            "Netherlands" => &["Molenweg", "Lange Gracht", "Wilgenlaan", "Bronstraat"],
            "Norway" | "Denmark" | "Sweden" => {
                &["Lindeveien", "Kvarngatan", "Møllevej", "Storgata"]
            }
            _ => &["Mill Lane", "Willow Street", "Wellhouse Road", "Orchard Avenue"],
        }
    }
}

const fn plain(city: &'static str, country: &'static str) -> Place {
    Place { city, region: None, country }
}

const fn within(city: &'static str, region: &'static str, country: &'static str) -> Place {
    Place { city, region: Some(region), country }
}

/// Towns in countries whose addresses name a region: 24 of them in 18 regions of 7 countries.
pub(super) const WITH_REGION: [Place; 24] = [
    within("Spokane", "WA", "USA"),
    within("Tacoma", "WA", "USA"),
    within("Eugene", "OR", "USA"),
    within("Duluth", "MN", "USA"),
    within("Halifax", "NS", "Canada"),
    within("Santos", "SP", "Brazil"),
    within("Hobart", "Tasmania", "Australia"),
    within("Mysuru", "Karnataka", "India"),
    within("Truro", "Cornwall", "UK"),
    within("Bend", "OR", "USA"),
    within("Boulder", "CO", "USA"),
    within("Regina", "SK", "Canada"),
    within("Victoria", "BC", "Canada"),
    within("Kelowna", "BC", "Canada"),
    within("Campinas", "SP", "Brazil"),
    within("Salvador", "BA", "Brazil"),
    within("Olinda", "PE", "Brazil"),
    within("Geelong", "Victoria", "Australia"),
    within("Ballarat", "Victoria", "Australia"),
    within("Cairns", "Queensland", "Australia"),
    within("Kochi", "Kerala", "India"),
    within("Falmouth", "Cornwall", "UK"),
    within("Whitby", "N. Yorkshire", "UK"),
    within("Galway", "Co. Galway", "Ireland"),
];

/// 45 towns of the 14 other countries. The first 20, in 10 countries, are those of suppliers too.
pub(super) const WITHOUT_REGION: [Place; 45] = [
    plain("Dijon", "France"),
    plain("Nantes", "France"),
    plain("Annecy", "France"),
    plain("Jena", "Germany"),
    plain("Kassel", "Germany"),
    plain("Lübeck", "Germany"),
    plain("Parma", "Italy"),
    plain("Lucca", "Italy"),
    plain("Cádiz", "Spain"),
    plain("Girona", "Spain"),
    plain("Tromsø", "Norway"),
    plain("Molde", "Norway"),
    plain("Uppsala", "Sweden"),
    plain("Visby", "Sweden"),
    plain("Kanazawa", "Japan"),
    plain("Otaru", "Japan"),
    plain("Aalborg", "Denmark"),
    plain("Odense", "Denmark"),
    plain("Delft", "Netherlands"),
    plain("Gdańsk", "Poland"),
    plain("Arles", "France"),
    plain("Brest", "France"),
    plain("Colmar", "France"),
    plain("Trier", "Germany"),
    plain("Ulm", "Germany"),
    plain("Bamberg", "Germany"),
    plain("Trieste", "Italy"),
    plain("Bari", "Italy"),
    plain("León", "Spain"),
    plain("Vigo", "Spain"),
    plain("Braga", "Portugal"),
    plain("Évora", "Portugal"),
    plain("Faro", "Portugal"),
    plain("Ålesund", "Norway"),
    plain("Kalmar", "Sweden"),
    plain("Turku", "Finland"),
    plain("Oulu", "Finland"),
    plain("Ribe", "Denmark"),
    plain("Toruń", "Poland"),
    plain("Lublin", "Poland"),
    plain("Chania", "Greece"),
    plain("Volos", "Greece"),
    plain("Nara", "Japan"),
    plain("Valdivia", "Chile"),
    plain("Leiden", "Netherlands"),
];
