use super::{Backdrop, Course, Description, Facts, Part, fill};
use crate::{Colour, Random, Travel};

/// Verbs (`finite/participle`) and what may follow them.
type Predicates = &'static [(&'static [&'static str], &'static [&'static str])];

const MOVES: &[&str] = &[
    "moves/moving",
    "goes/going",
    "slides/sliding",
    "floats/floating",
    "glides/gliding",
    "travels/traveling",
    "drifts/drifting",
];

const fn travel_verbs(travel: Travel) -> &'static [&'static str] {
    match travel {
        Travel::Walk => &["walks/walking", "runs/running", "walks/walking"],
        Travel::Crawl => &["crawls/crawling", "creeps/creeping"],
        Travel::Fly => &["flies/flying"],
        Travel::Swim => &["swims/swimming"],
        Travel::Drive => &["drives/driving", "rolls/rolling", "drives/driving"],
        Travel::Sail => &["sails/sailing"],
    }
}

pub(super) fn ways(course: Course) -> &'static [&'static str] {
    match course {
        Course::Left => &[
            "to the left",
            "left",
            "from right to left",
            "leftwards",
            "toward the left",
            "across to the left",
            "from the right side to the left side",
        ],
        Course::Right => &[
            "to the right",
            "right",
            "from left to right",
            "rightwards",
            "toward the right",
            "across to the right",
            "from the left side to the right side",
        ],
        Course::Up => &[
            "up",
            "upwards",
            "to the top",
            "from bottom to top",
            "toward the top",
            "from the bottom to the top",
        ],
        Course::Down => &[
            "down",
            "downwards",
            "to the bottom",
            "from top to bottom",
            "toward the bottom",
            "from the top to the bottom",
        ],
        Course::UpLeft => &[
            "diagonally to the upper left",
            "diagonally up and to the left",
            "to the upper left corner",
            "toward the top left",
            "diagonally from the bottom right to the top left",
        ],
        Course::UpRight => &[
            "diagonally to the upper right",
            "diagonally up and to the right",
            "to the upper right corner",
            "toward the top right",
            "diagonally from the bottom left to the top right",
        ],
        Course::DownLeft => &[
            "diagonally to the lower left",
            "diagonally down and to the left",
            "to the lower left corner",
            "toward the bottom left",
            "diagonally from the top right to the bottom left",
        ],
        Course::DownRight => &[
            "diagonally to the lower right",
            "diagonally down and to the right",
            "to the lower right corner",
            "toward the bottom right",
            "diagonally from the top left to the bottom right",
        ],
        Course::Clockwise => &[
            "in a circle",
            "in circles",
            "around in a circle",
            "along a circular path",
            "clockwise in a circle",
            "around the center",
        ],
        Course::CounterClockwise => &[
            "in a circle",
            "in circles",
            "around in a circle",
            "along a circular path",
            "counterclockwise in a circle",
            "around the center",
        ],
        Course::Grow | Course::Shrink | Course::Bounce | Course::Still => &[],
    }
}

fn predicates(course: Course) -> Predicates {
    match course {
        Course::Up => &[(&["rises/rising"], &["", "to the top", "slowly"])],
        Course::Down => &[(&["sinks/sinking", "descends/descending"], &["", "to the bottom", "slowly"])],
        Course::Clockwise | Course::CounterClockwise => {
            &[(&["circles/circling"], &["around", "around the center"])]
        }
        Course::Grow => &[
            (
                &["grows/growing", "gets/getting", "becomes/becoming"],
                &["bigger", "larger", "bigger and bigger", "larger and larger"],
            ),
            (
                &["comes/coming", "moves/moving", "gets/getting"],
                &["closer", "closer and closer", "closer to the camera"],
            ),
            (&["approaches/approaching"], &["", "the camera"]),
            (&["zooms/zooming"], &["in"]),
        ],
        Course::Shrink => &[
            (&["gets/getting", "becomes/becoming"], &["smaller", "smaller and smaller"]),
            (&["shrinks/shrinking"], &["", "slowly"]),
            (
                &["moves/moving", "goes/going"],
                &["away", "farther away", "into the distance", "away from the camera"],
            ),
            (&["zooms/zooming"], &["out"]),
        ],
        Course::Bounce => &[
            (&["bounces/bouncing"], &["", "up and down", "like a ball", "again and again", "on the ground"]),
            (&["hops/hopping", "jumps/jumping"], &["", "up and down", "again and again", "around"]),
        ],
        Course::Still => &[
            (&["stays/staying", "remains/remaining"], &["still", "in place", "in one place", "where it is"]),
            (&["stands/standing"], &["still", "in place"]),
            (&["does not move/not moving"], &["", "at all"]),
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
        _ if ways.is_empty() || (!own.is_empty() && random.chance(0.25)) => {
            let (verbs, rests) = random.choose(own);
            (*random.choose(verbs), *random.choose(rests))
        }
        _ => (*random.choose(MOVES), *random.choose(ways)),
    }
}

/// Sentences: `{finite}` is "a car drives left", `{is}` "a car is driving left", `{participle}` "a car driving left",
/// `{on}` "on a yellow background", `{colour}` "yellow".
const FULL: &[&str] = &[
    "{finite} {on}",
    "{finite} {on}",
    "{finite} {on}",
    "{participle} {on}",
    "{participle} {on}",
    "{is} {on}",
    "{on}, {finite}",
    "{on}, {is}",
    "a video of {participle} {on}",
    "a clip of {participle} {on}",
    "an animation of {participle} {on}",
    "a short video of {participle} {on}",
    "{finite}, the background is {colour}",
    "{finite} and the background is {colour}",
];
const WITHOUT_BACKGROUND: &[&str] =
    &["{finite}", "{participle}", "{is}", "a video of {participle}", "a clip of {participle}"];
const WITHOUT_MOTION: &[&str] = &["{subject} {on}", "a video of {subject} {on}", "{on}, {subject}"];

const ON: &[&str] = &[
    "on {colour} background",
    "on {colour} background",
    "on {colour} background",
    "against {colour} background",
    "against {colour} background",
    "in front of {colour} background",
    "over {colour} background",
    "with {colour} background",
];

pub(super) fn write(facts: &Facts, random: &mut Random) -> Description {
    let mut phrases = Vec::new();
    let (mut subjects, mut finite, mut is, mut participle) = (vec![], vec![], vec![], vec![]);
    for part in &facts.parts {
        let (subject, phrase) = subject(part, random);
        let (verb, rest) = predicate(part, random);
        let (verb, verbing) = verb.split_once('/').expect("tables write verbs as finite/participle");
        finite.push(format!("{subject} {verb} {rest}").trim_end().to_owned());
        is.push(format!("{subject} is {verbing} {rest}").trim_end().to_owned());
        participle.push(format!("{subject} {verbing} {rest}").trim_end().to_owned());
        subjects.push(subject);
        phrases.push(phrase);
    }
    let and = if facts.names_motion && random.chance(0.3) { " while " } else { " and " };
    let sentence = *random.choose(match (facts.backdrop, facts.names_motion) {
        (None, _) => WITHOUT_BACKGROUND,
        (_, false) => WITHOUT_MOTION,
        _ => FULL,
    });
    let (on, colour) = facts.backdrop.map(|backdrop| background(backdrop, random)).unwrap_or_default();
    let text = fill(
        sentence,
        &[
            ("{finite}", &finite.join(and)),
            ("{is}", &is.join(and)),
            ("{participle}", &participle.join(" and ")),
            ("{subject}", &subjects.join(" and ")),
            ("{on}", &on),
            ("{colour}", &colour),
        ],
    );
    Description { text, phrases }
}

/// "a red car" and "red car".
fn subject(part: &Part, random: &mut Random) -> (String, String) {
    let article = part.object.en[part.name_index].0.as_str();
    match part.adjective {
        None if article.is_empty() => (part.name.to_owned(), part.name.to_owned()),
        None => (format!("{article} {}", part.name), part.name.to_owned()),
        Some(colour) => {
            let colour = colour_word(colour, random);
            let phrase = format!("{colour} {}", part.name);
            let article = if article == "the" { "the" } else { article_before(colour) };
            (format!("{article} {phrase}"), phrase)
        }
    }
}

/// "on a yellow background" and what "the background is".
fn background(backdrop: Backdrop, random: &mut Random) -> (String, String) {
    let colour = colour_word(backdrop.colour, random);
    let on = *random.choose(ON);
    if !backdrop.as_gradient {
        let article = article_before(colour);
        return (on.replace("{colour}", &format!("{article} {colour}")), colour.to_owned());
    }
    let gradient =
        if random.chance(0.25) { format!("soft {colour} gradient") } else { format!("{colour} gradient") };
    let gradient = format!("{} {gradient}", article_before(&gradient));
    (on.replace("{colour}", &gradient), gradient)
}

fn colour_word(colour: Colour, random: &mut Random) -> &'static str {
    match colour {
        Colour::Gray if random.chance(0.25) => "grey",
        _ => colour.name(),
    }
}

fn article_before(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// What an object does, after its name: "driving to the left".
pub(super) fn goes(part: &Part, random: &mut Random) -> String {
    let (verb, rest) = predicate(part, random);
    let (_, verbing) = verb.split_once('/').expect("tables write verbs as finite/participle");
    format!("{verbing} {rest}").trim_end().to_owned()
}

/// "on a yellow background".
pub(super) fn behind(backdrop: Backdrop, random: &mut Random) -> String {
    background(backdrop, random).0
}

/// Words that tell a course without naming a way.
pub(super) fn told(course: Course) -> Vec<String> {
    let forms = |verb: &'static str| verb.split('/');
    let with_rests = |(verbs, rests): &(&'static [&'static str], &'static [&'static str])| {
        let phrase = |verb: &str, rest: &str| format!("{verb} {rest}").trim_end().to_owned();
        let rests = *rests;
        verbs
            .iter()
            .flat_map(|verb| forms(verb))
            .flat_map(move |verb| rests.iter().map(move |rest| phrase(verb, rest)).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    predicates(course).iter().flat_map(with_rests).collect()
}

/// Verbs that ask for a direction.
pub(super) fn verbs() -> Vec<String> {
    let travels = Travel::ALL.into_iter().flat_map(travel_verbs);
    MOVES.iter().chain(travels).flat_map(|verb| verb.split('/')).map(str::to_owned).collect()
}
