//! Month, weekday, era and zone names, as Java 17 prints them from its CLDR data.

use crate::zone::Zone;

/// A language with names. The `locale` property is a language, not a locale tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    French,
    /// A text that is no language code (`en_US`, `US`): Java falls back to its root names, which
    /// have no full forms.
    Root,
}

impl Language {
    /// `None` for a language code whose names are not in this crate.
    pub(crate) fn of(locale: &str) -> Option<Self> {
        match locale.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "fr" => Some(Self::French),
            code if matches!(code.len(), 2 | 3) && code.bytes().all(|b| b.is_ascii_lowercase()) => {
                // `US` and its like are country codes, which Java reads as an unknown language.
                (code == "us").then_some(Self::Root)
            }
            _ => Some(Self::Root),
        }
    }

    pub(crate) fn month(self, month: i64, full: bool) -> &'static str {
        let table = match (self, full) {
            (Self::English, true) => &ENGLISH_MONTHS,
            (Self::English, false) | (Self::Root, _) => &SHORT_MONTHS,
            (Self::French, true) => &FRENCH_MONTHS,
            (Self::French, false) => &FRENCH_SHORT_MONTHS,
        };
        entry(table, month)
    }

    pub(crate) fn weekday(self, iso_day: i64, full: bool) -> &'static str {
        let table = match (self, full) {
            (Self::English, true) => &ENGLISH_DAYS,
            (Self::English, false) | (Self::Root, _) => &SHORT_DAYS,
            (Self::French, true) => &FRENCH_DAYS,
            (Self::French, false) => &FRENCH_SHORT_DAYS,
        };
        entry(table, iso_day)
    }

    pub(crate) const fn era(self, common: bool) -> &'static str {
        match (self, common) {
            (Self::English, true) => "AD",
            (Self::English, false) => "BC",
            (Self::French, true) => "ap. J.-C.",
            (Self::French, false) => "av. J.-C.",
            (Self::Root, true) => "CE",
            (Self::Root, false) => "BCE",
        }
    }

    pub(crate) const fn half_day(self, milli_of_day: i64) -> &'static str {
        if milli_of_day < 43_200_000 { "AM" } else { "PM" }
    }
}

fn entry(table: &[&'static str], number: i64) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|index| table.get(index)).copied().unwrap_or("")
}

const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const SHORT_MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const FRENCH_MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];
const FRENCH_SHORT_MONTHS: [&str; 12] = [
    "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.",
    "déc.",
];
const ENGLISH_DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const SHORT_DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const FRENCH_DAYS: [&str; 7] =
    ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"];
const FRENCH_SHORT_DAYS: [&str; 7] = ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."];

/// Names of a zone in English.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ZoneNames(Option<&'static Names>);

#[derive(Debug)]
struct Names {
    standard: (&'static str, &'static str),
    daylight: (&'static str, &'static str),
    zones: &'static [&'static str],
}

impl ZoneNames {
    /// `None` if this crate has no names for the zone. A fixed offset is its own name.
    pub(crate) fn of(zone: &Zone) -> Option<Self> {
        if zone.is_fixed_offset() {
            return Some(Self(None));
        }
        NAMES.iter().find(|names| names.zones.contains(&zone.id())).map(|names| Self(Some(names)))
    }

    pub(crate) const fn name(self, daylight: bool, full: bool) -> Option<&'static str> {
        let Some(names) = self.0 else { return None };
        let (short, long) = if daylight { names.daylight } else { names.standard };
        Some(if full { long } else { short })
    }
}

const NAMES: &[Names] = &[
    Names {
        standard: ("UTC", "Coordinated Universal Time"),
        daylight: ("UTC", "Coordinated Universal Time"),
        zones: &["UTC", "Etc/UTC"],
    },
    Names {
        standard: ("GMT", "Greenwich Mean Time"),
        daylight: ("GMT", "Greenwich Mean Time"),
        zones: &["Etc/GMT", "Africa/Abidjan", "Africa/Accra", "Atlantic/Reykjavik"],
    },
    Names {
        standard: ("GMT", "Greenwich Mean Time"),
        daylight: ("BST", "British Summer Time"),
        zones: &["Europe/London"],
    },
    Names {
        standard: ("EST", "Eastern Standard Time"),
        daylight: ("EDT", "Eastern Daylight Time"),
        zones: &[
            "America/New_York",
            "America/Toronto",
            "America/Detroit",
            "America/Indiana/Indianapolis",
            "America/Kentucky/Louisville",
            "America/Jamaica",
            "America/Panama",
            "America/Nassau",
        ],
    },
    Names {
        standard: ("CST", "Central Standard Time"),
        daylight: ("CDT", "Central Daylight Time"),
        zones: &[
            "America/Chicago",
            "America/Winnipeg",
            "America/Mexico_City",
            "America/Regina",
            "America/Costa_Rica",
            "America/Guatemala",
            "America/El_Salvador",
        ],
    },
    Names {
        standard: ("MST", "Mountain Standard Time"),
        daylight: ("MDT", "Mountain Daylight Time"),
        zones: &["America/Denver", "America/Phoenix", "America/Edmonton", "America/Boise"],
    },
    Names {
        standard: ("PST", "Pacific Standard Time"),
        daylight: ("PDT", "Pacific Daylight Time"),
        zones: &["America/Los_Angeles", "America/Vancouver", "America/Tijuana"],
    },
    Names {
        standard: ("AKST", "Alaska Standard Time"),
        daylight: ("AKDT", "Alaska Daylight Time"),
        zones: &["America/Anchorage", "America/Juneau", "America/Nome"],
    },
    Names {
        standard: ("HST", "Hawaii-Aleutian Standard Time"),
        daylight: ("HDT", "Hawaii-Aleutian Daylight Time"),
        zones: &["Pacific/Honolulu"],
    },
    Names {
        standard: ("AST", "Atlantic Standard Time"),
        daylight: ("ADT", "Atlantic Daylight Time"),
        zones: &["America/Halifax", "America/Puerto_Rico", "Atlantic/Bermuda"],
    },
    Names {
        standard: ("CET", "Central European Standard Time"),
        daylight: ("CEST", "Central European Summer Time"),
        zones: &[
            "Europe/Paris",
            "Europe/Berlin",
            "Europe/Madrid",
            "Europe/Rome",
            "Europe/Amsterdam",
            "Europe/Brussels",
            "Europe/Vienna",
            "Europe/Zurich",
            "Europe/Stockholm",
            "Europe/Oslo",
            "Europe/Copenhagen",
            "Europe/Prague",
            "Europe/Warsaw",
            "Europe/Budapest",
            "Europe/Belgrade",
            "Europe/Luxembourg",
            "Europe/Monaco",
        ],
    },
    Names {
        standard: ("EET", "Eastern European Standard Time"),
        daylight: ("EEST", "Eastern European Summer Time"),
        zones: &[
            "Europe/Athens",
            "Europe/Helsinki",
            "Europe/Kyiv",
            "Europe/Bucharest",
            "Europe/Sofia",
            "Europe/Riga",
            "Europe/Tallinn",
            "Europe/Vilnius",
            "Africa/Cairo",
            "Asia/Beirut",
        ],
    },
    Names {
        standard: ("WET", "Western European Standard Time"),
        daylight: ("WEST", "Western European Summer Time"),
        zones: &["Europe/Lisbon", "Atlantic/Canary", "Atlantic/Madeira"],
    },
    Names {
        standard: ("IST", "India Standard Time"),
        daylight: ("IST", "India Standard Time"),
        zones: &["Asia/Kolkata"],
    },
    Names {
        standard: ("JST", "Japan Standard Time"),
        daylight: ("JDT", "Japan Daylight Time"),
        zones: &["Asia/Tokyo"],
    },
    Names {
        standard: ("CST", "China Standard Time"),
        daylight: ("CDT", "China Daylight Time"),
        zones: &["Asia/Shanghai"],
    },
    Names {
        standard: ("AEST", "Australian Eastern Standard Time"),
        daylight: ("AEDT", "Australian Eastern Daylight Time"),
        zones: &[
            "Australia/Sydney",
            "Australia/Melbourne",
            "Australia/Brisbane",
            "Australia/Hobart",
        ],
    },
    Names {
        standard: ("NZST", "New Zealand Standard Time"),
        daylight: ("NZDT", "New Zealand Daylight Time"),
        zones: &["Pacific/Auckland"],
    },
];
