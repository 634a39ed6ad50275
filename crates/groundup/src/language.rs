//! The languages of the report.

use clap::ValueEnum;

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Language {
    /// Its tag in HTML and SVG.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }
}

/// Words in every language.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// Korean.
    pub ko: &'static str,
}

/// Words of the same meaning in each language.
pub const fn words(en: &'static str, ko: &'static str) -> Words {
    Words { en, ko }
}

impl Words {
    /// The words in a language.
    pub fn of(self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::Ko => self.ko,
        }
    }
}

/// A line with numbers in it, in every language: the terminal has it in English, the page in the report's.
#[derive(Clone, Debug)]
pub struct Line {
    /// English.
    pub en: String,
    /// Korean.
    ko: String,
}

impl Line {
    /// The line that `say` makes in each language.
    pub fn new(say: impl Fn(Language) -> String) -> Self {
        Self { en: say(Language::En), ko: say(Language::Ko) }
    }

    /// The line in a language.
    pub fn of(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ko => &self.ko,
        }
    }
}
