use super::{Backdrop, Course, Description, Facts, Part, fill};
use crate::{Colour, Gender, Random, Travel};

/// Verbs and what may follow them. `@` is the prefix of the third person (ت or ي), `%` the ending of an adverbial
/// participle (ة or ا), `&` the possessive (ها or ه): they agree with the subject's gender.
type Predicates = &'static [(&'static [&'static str], &'static [&'static str])];

const MOVES: &[&str] = &["@تحرك", "@تحرك", "@نتقل", "@نزلق", "@تجه", "@نساب"];

fn travel_verbs(travel: Travel) -> &'static [&'static str] {
    match travel {
        Travel::Walk => &["@مشي", "@سير", "@ركض"],
        Travel::Crawl => &["@زحف"],
        Travel::Fly => &["@طير", "@حلق"],
        Travel::Swim => &["@سبح", "@عوم"],
        Travel::Drive => &["@سير", "@نطلق"],
        Travel::Sail => &["@بحر"],
    }
}

pub(super) fn ways(course: Course) -> &'static [&'static str] {
    match course {
        Course::Left => &[
            "إلى اليسار",
            "إلى اليسار",
            "نحو اليسار",
            "يسارا",
            "من اليمين إلى اليسار",
            "باتجاه اليسار",
            "إلى جهة اليسار",
        ],
        Course::Right => &[
            "إلى اليمين",
            "إلى اليمين",
            "نحو اليمين",
            "يمينا",
            "من اليسار إلى اليمين",
            "باتجاه اليمين",
            "إلى جهة اليمين",
        ],
        Course::Up => &["إلى الأعلى", "إلى أعلى", "نحو الأعلى", "من الأسفل إلى الأعلى", "باتجاه الأعلى"],
        Course::Down => &["إلى الأسفل", "إلى أسفل", "نحو الأسفل", "من الأعلى إلى الأسفل", "باتجاه الأسفل"],
        Course::UpLeft => &[
            "قطريا إلى أعلى اليسار",
            "نحو أعلى اليسار",
            "إلى الزاوية العليا اليسرى",
            "بشكل مائل نحو أعلى اليسار",
        ],
        Course::UpRight => &[
            "قطريا إلى أعلى اليمين",
            "نحو أعلى اليمين",
            "إلى الزاوية العليا اليمنى",
            "بشكل مائل نحو أعلى اليمين",
        ],
        Course::DownLeft => &[
            "قطريا إلى أسفل اليسار",
            "نحو أسفل اليسار",
            "إلى الزاوية السفلى اليسرى",
            "بشكل مائل نحو أسفل اليسار",
        ],
        Course::DownRight => &[
            "قطريا إلى أسفل اليمين",
            "نحو أسفل اليمين",
            "إلى الزاوية السفلى اليمنى",
            "بشكل مائل نحو أسفل اليمين",
        ],
        Course::Clockwise => {
            &["في دائرة", "في مسار دائري", "بشكل دائري", "حول المركز", "في دائرة مع عقارب الساعة"]
        }
        Course::CounterClockwise => {
            &["في دائرة", "في مسار دائري", "بشكل دائري", "حول المركز", "في دائرة عكس عقارب الساعة"]
        }
        Course::Grow | Course::Shrink | Course::Bounce | Course::Still => &[],
    }
}

fn predicates(course: Course) -> Predicates {
    match course {
        Course::Up => &[(&["@رتفع", "@صعد"], &["", "ببطء", "إلى الأعلى"])],
        Course::Down => &[(&["@هبط", "@نزل", "@نخفض"], &["", "ببطء", "إلى الأسفل"])],
        Course::Clockwise => &[(&["@دور"], &["", "في دائرة", "دورة كاملة", "مع عقارب الساعة"])],
        Course::CounterClockwise => &[(&["@دور"], &["", "في دائرة", "دورة كاملة", "عكس عقارب الساعة"])],
        Course::Grow => &[
            (&["@كبر"], &["", "تدريجيا", "شيئا فشيئا", "ببطء", "باستمرار"]),
            (&["@قترب"], &["", "من الكاميرا", "تدريجيا", "شيئا فشيئا"]),
            (&["@صبح أكبر"], &["", "فأكبر", "تدريجيا"]),
        ],
        Course::Shrink => &[
            (&["@صغر"], &["", "تدريجيا", "شيئا فشيئا", "ببطء", "باستمرار"]),
            (&["@بتعد"], &["", "عن الكاميرا", "تدريجيا", "شيئا فشيئا"]),
            (&["@صبح أصغر"], &["", "فأصغر", "تدريجيا"]),
        ],
        Course::Bounce => &[
            (&["@قفز"], &["", "مثل الكرة", "باستمرار", "عدة مرات", "إلى الأعلى والأسفل", "مرارا"]),
            (&["@رتد"], &["مثل الكرة", "باستمرار", "عدة مرات"]),
            (&["@نط"], &["", "مثل الكرة", "باستمرار", "عدة مرات"]),
        ],
        Course::Still => &[
            (&["@بقى", "@ظل"], &["ثابت%", "في مكان&", "بلا حركة", "ساكن%"]),
            (&["@قف"], &["ثابت%", "في مكان&", "بلا حركة"]),
            (&["لا @تحرك"], &["", "من مكان&"]),
        ],
        _ => &[],
    }
}

fn predicate(part: &Part, random: &mut Random) -> (&'static str, &'static str) {
    let (own, ways) = (predicates(part.course), ways(part.course));
    let travel = part.object.travel.filter(|_| part.course.takes_travel_verb(part.object));
    match travel {
        Some(travel) if random.chance(super::TRAVEL_VERB_SHARE) => {
            (*random.choose(travel_verbs(travel)), *random.choose(ways))
        }
        _ if ways.is_empty() || (!own.is_empty() && random.chance(0.3)) => {
            let (verbs, rests) = random.choose(own);
            (*random.choose(verbs), *random.choose(rests))
        }
        _ => (*random.choose(MOVES), *random.choose(ways)),
    }
}

/// Sentences: `{nominal}` is "قطة تتحرك إلى اليسار", `{verbal}` begins with the verb, `{on}` is "على خلفية صفراء",
/// `{colour}` "صفراء".
const FULL: &[&str] = &[
    "{nominal} {on}",
    "{nominal} {on}",
    "{nominal} {on}",
    "{verbal} {on}",
    "{verbal} {on}",
    "{on} {verbal}",
    "{on}، {nominal}",
    "{nominal} والخلفية {colour}",
    "{verbal} والخلفية {colour}",
    "مقطع فيديو: {nominal} {on}",
    "فيديو قصير: {nominal} {on}",
    "نرى {nominal} {on}",
    "مشهد فيه {nominal} {on}",
];
const WITHOUT_BACKGROUND: &[&str] = &["{nominal}", "{verbal}", "مقطع فيديو: {nominal}", "نرى {nominal}"];
const WITHOUT_MOTION: &[&str] = &["{subject} {on}", "نرى {subject} {on}", "{on}، {subject}"];

const ON: &[&str] = &[
    "على خلفية {colour}",
    "على خلفية {colour}",
    "على خلفية {colour}",
    "أمام خلفية {colour}",
    "فوق خلفية {colour}",
    "مع خلفية {colour}",
];

pub(super) fn write(facts: &Facts, random: &mut Random) -> Description {
    let (mut phrases, mut nominal, mut verbal) = (vec![], vec![], vec![]);
    for part in &facts.parts {
        let gender = part.object.gender;
        let subject = match part.adjective {
            None => part.name.to_owned(),
            Some(colour) => format!("{} {}", part.name, adjective(colour, gender)),
        };
        let (verb, rest) = predicate(part, random);
        let (verb, rest) = (agree(verb, gender), agree(rest, gender));
        nominal.push(format!("{subject} {verb} {rest}").trim_end().to_owned());
        verbal.push(format!("{verb} {subject} {rest}").trim_end().to_owned());
        phrases.push(subject);
    }
    // "And" is written together with the next word.
    let and = if facts.names_motion && random.chance(0.4) { " بينما " } else { " و" };
    let sentence = *random.choose(match (facts.backdrop, facts.names_motion) {
        (None, _) => WITHOUT_BACKGROUND,
        (_, false) => WITHOUT_MOTION,
        _ => FULL,
    });
    let colour = facts.backdrop.map(|backdrop| background(backdrop, random)).unwrap_or_default();
    let on = *random.choose(ON);
    let text = fill(
        sentence,
        &[
            ("{nominal}", &nominal.join(and)),
            ("{verbal}", &verbal.join(and)),
            ("{subject}", &phrases.join(" و")),
            ("{on}", on),
            ("{colour}", &colour),
        ],
    );
    Description { text, phrases }
}

fn agree(words: &str, gender: Gender) -> String {
    let (prefix, ending, possessive) = match gender {
        Gender::Feminine => ("ت", "ة", "ها"),
        Gender::Masculine => ("ي", "ا", "ه"),
    };
    fill(words, &[("@", prefix), ("%", ending), ("&", possessive)])
}

/// The background is feminine: خلفية.
fn background(backdrop: Backdrop, random: &mut Random) -> String {
    let colour = adjective(backdrop.colour, Gender::Feminine);
    match backdrop.as_gradient {
        true if random.chance(0.3) => format!("{colour} متدرجة اللون"),
        true => format!("{colour} متدرجة"),
        false => colour.to_owned(),
    }
}

pub(super) fn adjective(colour: Colour, gender: Gender) -> &'static str {
    let (masculine, feminine) = match colour {
        Colour::Red => ("أحمر", "حمراء"),
        Colour::Orange => ("برتقالي", "برتقالية"),
        Colour::Yellow => ("أصفر", "صفراء"),
        Colour::Green => ("أخضر", "خضراء"),
        Colour::Cyan => ("سماوي", "سماوية"),
        Colour::Blue => ("أزرق", "زرقاء"),
        Colour::Purple => ("بنفسجي", "بنفسجية"),
        Colour::Pink => ("وردي", "وردية"),
        Colour::White => ("أبيض", "بيضاء"),
        Colour::Gray => ("رمادي", "رمادية"),
    };
    match gender {
        Gender::Masculine => masculine,
        Gender::Feminine => feminine,
    }
}

/// What an object does, after its name: تتحرك إلى اليسار.
pub(super) fn goes(part: &Part, random: &mut Random) -> String {
    let (verb, rest) = predicate(part, random);
    agree(&format!("{verb} {rest}"), part.object.gender).trim_end().to_owned()
}

/// على خلفية صفراء.
pub(super) fn behind(backdrop: Backdrop, random: &mut Random) -> String {
    let on = *random.choose(ON);
    fill(on, &[("{colour}", &background(backdrop, random))])
}

/// Verbs that tell a course without naming a way; what may follow them need not, and a subject may stand between.
pub(super) fn told(course: Course) -> Vec<String> {
    let verbs = predicates(course).iter().flat_map(|(verbs, _)| verbs.iter());
    verbs.flat_map(|verb| in_both_genders(verb)).collect()
}

/// Verbs that ask for a direction.
pub(super) fn verbs() -> Vec<String> {
    let travels = Travel::ALL.into_iter().flat_map(travel_verbs);
    MOVES.iter().chain(travels).flat_map(|verb| in_both_genders(verb)).collect()
}

fn in_both_genders(words: &str) -> [String; 2] {
    [Gender::Feminine, Gender::Masculine].map(|gender| agree(words.trim_end(), gender))
}
