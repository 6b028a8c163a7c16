//! What a language model is asked to do: make a caption such as the video network was trained on. Sora (OpenAI 2024) turns
//! short prompts into long captions in the same way.

use vidit_data::Language;

use crate::chat::{Role, Turn};

/// The turns before the answer, all in the prompt's language: instructions, one example, the prompt.
pub fn turns(language: Language, prompt: &str) -> Vec<Turn> {
    let (short, long) = example(language);
    let turn = |role, text: &str| Turn { role, text: text.to_owned() };
    vec![
        turn(Role::System, system(language)),
        turn(Role::User, short),
        turn(Role::Assistant, long),
        turn(Role::User, prompt),
    ]
}

fn system(language: Language) -> &'static str {
    match language {
        Language::En => {
            "You turn a short description of a video into one long, vivid caption in English: a single paragraph of 40 to 80 \
             words. Keep every subject, number, colour and motion as it is. Add how things look and move, the place, the light \
             and the camera. One shot, no lists, no titles. Answer with the caption alone."
        }
        Language::Zh => {
            "请把一个视频的简短描述改写成一段长而生动的中文描述：只写一个段落，80到160个字。每个主体、数量、颜色和动作都保持原样。\
             补充事物的样子和动态、地点、光线和镜头。只有一个镜头，不要列表，不要标题。只回答这段描述。"
        }
        Language::Ar => {
            "أعد كتابة الوصف القصير لمقطع فيديو ليصبح وصفا واحدا طويلا حيا بالعربية: فقرة واحدة من 40 إلى 80 كلمة. أبق كل شيء \
             وعدد ولون وحركة كما هي. أضف كيف تبدو الأشياء وكيف تتحرك والمكان والضوء والكاميرا. لقطة واحدة، بلا قوائم وبلا \
             عناوين. أجب بالوصف وحده."
        }
    }
}

/// A short prompt and what it becomes.
fn example(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::En => (
            "two boats on a lake",
            "Two small wooden boats glide side by side across a calm lake from the near shore to the far one, rocking a little. \
             Low green hills and a pale morning sky are mirrored in the water. The light is soft and warm, and the camera follows \
             at a distance.",
        ),
        Language::Zh => (
            "湖上的两条船",
            "两条小木船并排在平静的湖面上，从近岸缓缓驶向远岸，轻轻摇晃。低矮的绿色山丘和淡淡的晨空倒映在水中。光线柔和温暖，\
             镜头在远处平稳地跟随。",
        ),
        Language::Ar => (
            "قاربان في بحيرة",
            "قاربان خشبيان صغيران ينسابان جنبا إلى جنب فوق بحيرة هادئة من الشاطئ القريب إلى الشاطئ البعيد ويتمايلان قليلا. تنعكس \
             تلال خضراء منخفضة وسماء الصباح الشاحبة على الماء. الضوء ناعم ودافئ، والكاميرا تتبعهما من بعيد.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{cleaned, is_in};

    #[test]
    fn examples_are_answers_that_we_would_take() {
        for language in Language::ALL {
            let (short, long) = example(language);
            assert_eq!(vidit_data::language_of(short), language);
            assert!(is_in(language, short) && is_in(language, long), "{long}");
            assert_eq!(cleaned(long), long);
            let turns = turns(language, "x");
            assert!(is_in(language, &turns[0].text) && turns[3].text == "x", "{}", turns[0].text);
        }
    }
}
