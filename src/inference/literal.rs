//! Python literals, as Ultralytics writes them into a model's metadata: `{0: 'person', 1: "driver's seat"}`, `[640, 640]`,
//! `True`. JSON is read by the same rules.

use std::{iter::Peekable, str::Chars};

/// A value as Python or JSON writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `None`, `null`.
    None,
    /// `True`, `false`, …
    Bool(bool),
    /// A number, whole or not.
    Number(f64),
    /// A string without its quotes, escapes resolved.
    Text(String),
    /// A list or tuple.
    List(Vec<Literal>),
    /// Pairs in the order written.
    Dict(Vec<(Literal, Literal)>),
}

/// Deepest nesting read: metadata has two levels.
const MAX_DEPTH: usize = 8;

/// Most class names read; more is no list of names.
const MAX_NAMES: usize = 65_536;

impl Literal {
    /// Parses `text` as one value; `None` if it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser {
            rest: text.chars().peekable(),
        };
        let value = parser.value(0)?;
        parser.skip_space();
        parser.rest.peek().is_none().then_some(value)
    }

    /// The value as a whole number that is not negative.
    pub fn as_index(&self) -> Option<usize> {
        match self {
            Self::Number(n) if *n >= 0.0 && n.fract() == 0.0 && *n < 1e9 => Some(*n as usize),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value as yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of a dictionary's key.
    pub fn entry(&self, wanted: &str) -> Option<&Self> {
        match self {
            Self::Dict(pairs) => pairs
                .iter()
                .find(|(key, _)| matches!(key, Self::Text(text) if text == wanted))
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The elements of a list as whole numbers.
    pub fn as_indices(&self) -> Option<Vec<usize>> {
        match self {
            Self::List(values) => values.iter().map(Self::as_index).collect(),
            _ => None,
        }
    }

    /// Class names from `{0: 'a', 1: 'b'}`, `{"0": "a"}` or `['a', 'b']`. Numbers left out are called `class N`.
    pub fn as_names(&self) -> Option<Vec<String>> {
        let name = |value: &Self| match value {
            Self::Text(text) => Some(text.clone()),
            Self::Number(n) => Some(n.to_string()),
            _ => None,
        };
        match self {
            Self::List(values) => values.iter().map(name).collect(),
            Self::Dict(pairs) => {
                let mut named = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    named.push((key.as_index().filter(|&i| i < MAX_NAMES)?, name(value)?));
                }
                let count = named.iter().map(|(i, _)| i + 1).max().unwrap_or(0);
                let mut names: Vec<String> = (0..count).map(|i| format!("class {i}")).collect();
                for (i, text) in named {
                    names[i] = text;
                }
                Some(names)
            }
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    /// Skips space and takes `wanted` if it comes next.
    fn takes(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        match *self.rest.peek()? {
            '{' => self.dict(depth),
            '[' => self.list('[', ']', depth),
            '(' => self.list('(', ')', depth),
            '\'' | '"' => self.text().map(Literal::Text),
            _ => self.word(),
        }
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Option<Literal> {
        let mut values = Vec::new();
        self.takes(open);
        while !self.takes(close) {
            values.push(self.value(depth + 1)?);
            if !self.takes(',') && !matches!(self.rest.peek(), Some(&c) if c == close) {
                return None;
            }
        }
        Some(Literal::List(values))
    }

    fn dict(&mut self, depth: usize) -> Option<Literal> {
        let mut pairs = Vec::new();
        self.takes('{');
        while !self.takes('}') {
            let key = self.value(depth + 1)?;
            if !self.takes(':') {
                return None;
            }
            pairs.push((key, self.value(depth + 1)?));
            if !self.takes(',') && !matches!(self.rest.peek(), Some('}')) {
                return None;
            }
        }
        Some(Literal::Dict(pairs))
    }

    /// A string in either kind of quotes.
    fn text(&mut self) -> Option<String> {
        let quote = self.rest.next()?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                c if c == quote => return Some(text),
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    /// What follows a backslash (Python reference, "Escape sequences"; JSON's are among them).
    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = match self.rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'v' => '\u{b}',
            '0' => '\0',
            'x' => self.hex(2)?,
            'u' => self.utf16()?,
            'U' => self.hex(8)?,
            c @ ('\\' | '\'' | '"' | '/') => c,
            // Python leaves unknown escapes as they are.
            c => {
                text.push('\\');
                c
            }
        };
        text.push(c);
        Some(())
    }

    fn code(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0, |code, _| {
            Some(code * 16 + self.rest.next()?.to_digit(16)?)
        })
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        self.code(digits).and_then(char::from_u32)
    }

    /// `\uXXXX`, in JSON possibly the first half of a surrogate pair.
    fn utf16(&mut self) -> Option<char> {
        let high = self.code(4)?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        if self.rest.next()? != '\\' || self.rest.next()? != 'u' {
            return None;
        }
        let low = self.code(4)?.checked_sub(0xdc00).filter(|&l| l < 0x400)?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)
    }

    /// A number or a name.
    fn word(&mut self) -> Option<Literal> {
        let mut word = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| c.is_ascii_alphanumeric() || "+-._".contains(*c))
        {
            word.push(c);
        }
        match word.as_str() {
            "None" | "null" => Some(Literal::None),
            "True" | "true" => Some(Literal::Bool(true)),
            "False" | "false" => Some(Literal::Bool(false)),
            _ => word
                .parse()
                .ok()
                .filter(|n: &f64| n.is_finite())
                .map(Literal::Number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[&str]>) {
        let names = Literal::parse(text).and_then(|l| l.as_names());
        let expected = expected.map(|e| e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(names, expected, "{text}");
    }

    #[test]
    fn names_in_every_notation() {
        check("{0: 'person', 1: 'bicycle'}", Some(&["person", "bicycle"]));
        check(
            r#"{"0": "person", "1": "a\u00e9\ud83d\ude00"}"#,
            Some(&["person", "aé😀"]),
        );
        check(
            r#"{0: "driver's seat", 1: 'say "hi"', }"#,
            Some(&["driver's seat", "say \"hi\""]),
        );
        check(
            r"{0: 'it\'s', 1: 'a\\b', 2: '\x41\t\d'}",
            Some(&["it's", "a\\b", "A\t\\d"]),
        );
        check("['a', 'b',]", Some(&["a", "b"]));
        check("('a', 'b')", Some(&["a", "b"]));
        check(
            "{2: 'c', 0: 'a: {b}, c'}",
            Some(&["a: {b}, c", "class 1", "c"]),
        );
        check("{}", Some(&[]));
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        for bad in [
            "",
            "{",
            "{0: 'a'",
            "{0 'a'}",
            "{0: 'a' 1: 'b'}",
            "['a' 'b']",
            "{0: 'a'} x",
            "{-1: 'a'}",
            "{0: ['a']}",
            "{1e8: 'a'}",
            "'a",
            r"'\ud83d'",
            "nan",
            "person",
        ] {
            check(bad, None);
        }
        check(&"[".repeat(10_000), None);
    }

    #[test]
    fn other_metadata() {
        assert_eq!(
            Literal::parse("[640, 480]").unwrap().as_indices(),
            Some(vec![640, 480])
        );
        assert_eq!(Literal::parse(" True ").unwrap().as_bool(), Some(true));
        let args = Literal::parse("{'batch': 1, 'half': False, 'data': None, 'iou': 0.7}");
        assert!(matches!(args, Some(Literal::Dict(pairs)) if pairs.len() == 4));
    }
}
