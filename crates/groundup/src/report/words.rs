//! The page's own words, in every language.

use crate::language::{Language, Words, words};

pub const TITLE: Words = words("Training techniques, from the ground up", "학습 관련 기술들, 밑바닥부터");
pub const BOOK: Words = words(
    "Chapter 6 of <cite>Deep Learning from Scratch</cite>: every experiment run again, with kernels written from scratch.",
    "<cite>밑바닥부터 시작하는 딥러닝</cite> 6장의 모든 실험을, 밑바닥부터 작성한 커널로 다시 실행했습니다.",
);
pub const DATA: Words = words("Data", "데이터");
pub const RUNS: Words = words("Runs of each experiment", "실험별 실행 횟수");
pub const SEEDS: Words = words("Seeds", "시드");
pub const SKIP: Words = words("Skip to the experiments", "실험으로 건너뛰기");
pub const CONTENTS: Words = words("Contents", "목차");
pub const SECTION: Words = words("Section", "절");
pub const FIGURE: Words = words("Figure", "그림");
pub const EQUATION: Words = words("Equation", "수식");
pub const SEE: Words = words("What to see", "볼 점");
pub const SETTINGS: Words = words("Settings", "설정");
pub const NUMBERS: Words = words("Numbers", "수치");
pub const RESULT: Words = words("Result", "결과");
pub const REPEAT: Words = words("Run it yourself", "직접 실행하기");
pub const COMMAND: Words = words("This experiment alone:", "이 실험만 실행하려면:");
pub const CODE: Words = words("Its code:", "코드:");
pub const FILES: Words = words("Files:", "파일:");
pub const NUMBERS_AS_JSON: Words = words("all numbers (JSON)", "모든 수치(JSON)");
pub const TOP: Words = words("Back to the contents", "목차로 돌아가기");
pub const FOOT: Words = words(
    "The same command gives the same page, byte by byte, on every machine and any number of threads. \
     How long it took is in <a href=\"times.json\">times.json</a>.",
    "같은 명령은 어떤 컴퓨터에서 몇 개의 스레드로 실행해도 바이트까지 똑같은 페이지를 만듭니다. \
     걸린 시간은 <a href=\"times.json\">times.json</a>에 있습니다.",
);

/// What the script says: keys of its `data-` attributes, and the words.
pub const SCRIPT: [(&str, Words); 8] = [
    ("auto", words("Theme: automatic", "테마: 자동")),
    ("light", words("Theme: light", "테마: 밝게")),
    ("dark", words("Theme: dark", "테마: 어둡게")),
    (
        "hint",
        words(
            "Point at a plot, or press the arrow keys on it, to read its values; a name in the legend hides its line or shows it again.",
            "그래프를 가리키거나 화살표 키를 누르면 값을 읽을 수 있고, 범례의 이름을 누르면 해당 선을 숨기거나 다시 표시합니다.",
        ),
    ),
    (
        "panel",
        words(
            "left and right arrows read values, up and down change the plot",
            "좌우 화살표로 값 읽기, 위아래 화살표로 그래프 이동",
        ),
    ),
    ("toggle", words("show", "표시")),
    ("readout", words("Values", "값")),
    ("none", words("every series is hidden", "모든 계열이 숨겨져 있습니다")),
];

/// "Section 6.1", "6.1절".
pub fn section(number: &str, language: Language) -> String {
    match language {
        Language::En => format!("{} {number}", SECTION.en),
        Language::Ko => format!("{}{}", number.replace(" to ", "~").replace(" and ", ", "), SECTION.ko),
    }
}

/// "Numbers: TITLE", the caption of a table.
pub fn caption(title: &str, language: Language) -> String {
    format!("{}: {title}", NUMBERS.of(language))
}
