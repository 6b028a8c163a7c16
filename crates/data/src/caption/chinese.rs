use super::{Backdrop, Course, Description, Facts, Part, fill};
use crate::{Colour, Random, Travel};

const MOVES: &[&str] = &["移动", "移动", "滑动", "运动", "平移", "飘动"];

fn travel_verbs(travel: Travel) -> &'static [&'static str] {
    match travel {
        Travel::Walk => &["走", "行走", "跑", "走去"],
        Travel::Crawl => &["爬", "爬行"],
        Travel::Fly => &["飞", "飞行", "飞去"],
        Travel::Swim => &["游", "游动", "游去"],
        Travel::Drive => &["行驶", "开", "开去"],
        Travel::Sail => &["航行", "驶去"],
    }
}

pub(super) fn ways(course: Course) -> &'static [&'static str] {
    match course {
        Course::Left => &["向左", "往左", "朝左", "从右向左", "从右往左", "向左边", "往左边", "从右边向左边"],
        Course::Right => {
            &["向右", "往右", "朝右", "从左向右", "从左往右", "向右边", "往右边", "从左边向右边"]
        }
        Course::Up => &["向上", "往上", "朝上", "从下向上", "从下往上", "向上方"],
        Course::Down => &["向下", "往下", "朝下", "从上向下", "从上往下", "向下方"],
        Course::UpLeft => &["向左上方", "往左上方", "朝左上角", "沿对角线向左上方", "斜着向左上方"],
        Course::UpRight => &["向右上方", "往右上方", "朝右上角", "沿对角线向右上方", "斜着向右上方"],
        Course::DownLeft => &["向左下方", "往左下方", "朝左下角", "沿对角线向左下方", "斜着向左下方"],
        Course::DownRight => &["向右下方", "往右下方", "朝右下角", "沿对角线向右下方", "斜着向右下方"],
        Course::Clockwise => &["绕圈", "沿着圆圈", "沿圆形轨迹", "绕着中心", "顺时针绕圈"],
        Course::CounterClockwise => &["绕圈", "沿着圆圈", "沿圆形轨迹", "绕着中心", "逆时针绕圈"],
        Course::Grow | Course::Shrink | Course::Bounce | Course::Still => &[],
    }
}

fn predicates(course: Course) -> &'static [&'static str] {
    match course {
        Course::Up => &["上升", "缓缓上升", "慢慢升起", "升到上方"],
        Course::Down => &["下降", "缓缓下降", "慢慢落下", "降到下方"],
        Course::Clockwise => &["转圈", "绕圈", "做圆周运动", "画圆圈", "顺时针转圈"],
        Course::CounterClockwise => &["转圈", "绕圈", "做圆周运动", "画圆圈", "逆时针转圈"],
        Course::Grow => &[
            "变大",
            "逐渐变大",
            "慢慢变大",
            "越来越大",
            "由小变大",
            "不断放大",
            "逐渐放大",
            "慢慢靠近",
            "越来越近",
            "渐渐变大",
            "朝镜头靠近",
            "从小变大",
        ],
        Course::Shrink => &[
            "变小",
            "逐渐变小",
            "慢慢变小",
            "越来越小",
            "由大变小",
            "不断缩小",
            "逐渐缩小",
            "慢慢远去",
            "越来越远",
            "渐渐变小",
            "远离镜头",
            "从大变小",
        ],
        Course::Bounce => &[
            "弹跳",
            "上下弹跳",
            "蹦蹦跳跳",
            "跳来跳去",
            "像皮球一样弹跳",
            "一跳一跳",
            "不停地弹跳",
            "反复弹跳",
            "上下跳动",
            "跳跃",
            "不停地跳",
            "弹来弹去",
        ],
        Course::Still => &[
            "静止不动",
            "停在原地",
            "保持不动",
            "待在原地",
            "一动不动",
            "没有移动",
            "原地不动",
            "停着不动",
            "静静地待着",
            "留在原地",
            "保持静止",
            "停留在原处",
        ],
        _ => &[],
    }
}

fn predicate(part: &Part, random: &mut Random) -> String {
    let (own, ways) = (predicates(part.course), ways(part.course));
    let travel = part.object.travel.filter(|_| part.course.takes_travel_verb(part.object));
    match travel {
        Some(travel) if random.chance(super::TRAVEL_VERB_SHARE) => {
            format!("{}{}", random.choose(ways), random.choose(travel_verbs(travel)))
        }
        _ if ways.is_empty() || (!own.is_empty() && random.chance(0.35)) => (*random.choose(own)).to_owned(),
        _ => format!("{}{}", random.choose(ways), random.choose(MOVES)),
    }
}

/// Sentences about one object: `{subject}` is 一只猫, `{predicate}` 向左移动, `{on}` 在黄色背景上, `{colour}` 黄色.
const FULL_ALONE: &[&str] = &[
    "{subject}{on}{predicate}",
    "{subject}{on}{predicate}",
    "{subject}{on}{predicate}",
    "{subject}正{on}{predicate}",
];
/// Sentences about any number of objects: `{clause}` is 一只猫向左移动, a second one after a comma.
const FULL: &[&str] = &[
    "{on}，{clause}",
    "{on}，{clause}",
    "{clause}，背景是{colour}的",
    "{clause}，背景为{colour}",
    "{clause}，{colour}背景",
    "视频：{on}，{clause}",
    "一段视频，{on}，{clause}",
    "画面中，{clause}，背景是{colour}的",
    "动画：{clause}，{colour}背景",
];
const WITHOUT_BACKGROUND: &[&str] = &["{clause}", "{clause}", "画面中，{clause}", "视频：{clause}"];
const WITHOUT_MOTION: &[&str] = &["{on}有{subject}", "{subject}，{colour}背景", "{colour}背景和{subject}"];

const ON: &[&str] = &[
    "在{colour}背景上",
    "在{colour}背景上",
    "在{colour}背景上",
    "在{colour}背景前",
    "在{colour}的背景上",
    "在{colour}的背景前",
];

pub(super) fn write(facts: &Facts, random: &mut Random) -> Description {
    let (mut phrases, mut subjects, mut predicates) = (vec![], vec![], vec![]);
    for part in &facts.parts {
        let (subject, phrase) = subject(part, random);
        subjects.push(subject);
        phrases.push(phrase);
        predicates.push(predicate(part, random));
    }
    let clauses: Vec<_> = subjects
        .iter()
        .zip(&predicates)
        .map(|(subject, predicate)| format!("{subject}{predicate}"))
        .collect();
    let one_clause = facts.parts.len() == 1 && random.chance(0.5);
    let sentence = *random.choose(match (facts.backdrop, facts.names_motion) {
        (None, _) => WITHOUT_BACKGROUND,
        (_, false) => WITHOUT_MOTION,
        _ if one_clause => FULL_ALONE,
        _ => FULL,
    });
    let colour = facts.backdrop.map(|backdrop| background(backdrop, random)).unwrap_or_default();
    let on = *random.choose(ON);
    let text = fill(
        sentence,
        &[
            ("{clause}", &clauses.join("，")),
            ("{subject}", &subjects.join("和")),
            ("{predicate}", &predicates.concat()),
            ("{on}", on),
            ("{colour}", &colour),
        ],
    );
    Description { text, phrases }
}

/// 一辆红色的汽车 and 红色的汽车.
fn subject(part: &Part, random: &mut Random) -> (String, String) {
    let phrase = match part.adjective {
        None => part.name.to_owned(),
        Some(colour) if random.chance(0.6) => format!("{}的{}", colour_word(colour), part.name),
        Some(colour) => format!("{}{}", colour_word(colour), part.name),
    };
    // Bare nouns are as usual as counted ones in short titles.
    if random.chance(0.15) {
        (phrase.clone(), phrase)
    } else {
        (format!("一{}{phrase}", part.object.measure), phrase)
    }
}

fn background(backdrop: Backdrop, random: &mut Random) -> String {
    let colour = colour_word(backdrop.colour);
    match backdrop.as_gradient {
        true if random.chance(0.3) => format!("柔和的{colour}渐变"),
        true => format!("{colour}渐变"),
        false => colour.to_owned(),
    }
}

pub(super) fn colour_word(colour: Colour) -> &'static str {
    match colour {
        Colour::Red => "红色",
        Colour::Orange => "橙色",
        Colour::Yellow => "黄色",
        Colour::Green => "绿色",
        Colour::Cyan => "青色",
        Colour::Blue => "蓝色",
        Colour::Purple => "紫色",
        Colour::Pink => "粉色",
        Colour::White => "白色",
        Colour::Gray => "灰色",
    }
}

/// What an object does, after its name: 向左移动.
pub(super) fn goes(part: &Part, random: &mut Random) -> String {
    predicate(part, random)
}

/// 黄色背景.
pub(super) fn behind(backdrop: Backdrop, random: &mut Random) -> String {
    format!("{}背景", background(backdrop, random))
}

/// Words that tell a course without naming a way.
pub(super) fn told(course: Course) -> Vec<String> {
    predicates(course).iter().map(|words| (*words).to_owned()).collect()
}

/// Verbs that ask for a direction; not those of one character, which are parts of many words.
pub(super) fn verbs() -> Vec<String> {
    let travels = Travel::ALL.into_iter().flat_map(travel_verbs);
    MOVES
        .iter()
        .chain(travels)
        .filter(|verb| verb.chars().count() > 1)
        .map(|verb| (*verb).to_owned())
        .collect()
}

/// A direction before the verb that asks for it.
pub(super) fn with_way(text: &str, way: &str) -> String {
    let found = verbs().into_iter().filter_map(|verb| text.find(&verb)).min();
    let (before, after) = text.split_at(found.unwrap_or(text.len()));
    format!("{before}{way}{after}")
}
