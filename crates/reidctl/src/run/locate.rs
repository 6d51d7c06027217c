//! Position of a key in a JSON or TOML text.

/// One step of a key such as `cameras[3].source`.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

fn steps(key: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in key.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        if !name.is_empty() {
            steps.push(Step::Key(name.to_owned()));
        }
        let numbers = indices.split('[').filter_map(|i| i.strip_suffix(']'));
        steps.extend(numbers.filter_map(|i| i.parse().ok()).map(Step::Index));
    }
    steps
}

/// The line, from 1, of the byte at `offset`.
pub fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}

/// The line of `key`, or of the nearest table around it.
pub fn line_of(text: &str, is_toml: bool, key: &str) -> Option<usize> {
    let steps = steps(key);
    (0..=steps.len()).rev().find_map(|length| {
        let steps = &steps[..length];
        let offset = if is_toml {
            in_toml(text, steps)
        } else {
            Scan { text, at: 0 }.value(Some(steps))
        };
        offset.map(|offset| line_at(text, offset))
    })
}

fn in_toml(text: &str, steps: &[Step]) -> Option<usize> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let (first, rest) = steps.split_first()?;
    let Step::Key(name) = first else { return None };
    let (key, mut value) = table.get_ref().get_key_value(name.as_str())?;
    let mut offset = key.span().start;
    for step in rest {
        value = match (step, value.get_ref()) {
            (Step::Key(name), toml::de::DeValue::Table(table)) => {
                let (key, value) = table.get_key_value(name.as_str())?;
                offset = key.span().start;
                value
            }
            (Step::Index(index), toml::de::DeValue::Array(array)) => {
                let value = array.get(*index)?;
                offset = value.span().start;
                value
            }
            _ => return None,
        };
    }
    Some(offset)
}

/// Goes through a JSON text that is known to be well-formed.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes a string over; returns what it says.
    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let mut bytes = self.text.bytes().enumerate().skip(start + 1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                b'"' => {
                    self.at = at + 1;
                    return serde_json::from_str(&self.text[start..self.at]).ok();
                }
                _ => {}
            }
        }
        None
    }

    /// Passes a value over; returns the offset of the value at `steps`, if the value lies on that way.
    fn value(&mut self, steps: Option<&[Step]>) -> Option<usize> {
        let mut found = None;
        let opening = self.peek()?;
        if steps.is_some_and(<[Step]>::is_empty) {
            found = Some(self.at);
        }
        match opening {
            b'{' | b'[' => {
                self.at += 1;
                for index in 0.. {
                    if matches!(self.peek()?, b'}' | b']') {
                        self.at += 1;
                        break;
                    }
                    let here = if opening == b'{' {
                        let key = self.string()?;
                        self.peek()?;
                        self.at += 1;
                        Step::Key(key)
                    } else {
                        Step::Index(index)
                    };
                    let way = steps.and_then(<[Step]>::split_first);
                    let inner = way
                        .filter(|(first, _)| **first == here)
                        .map(|(_, rest)| rest);
                    found = self.value(inner).or(found);
                    if self.peek()? == b',' {
                        self.at += 1;
                    }
                }
            }
            b'"' => drop(self.string()?),
            _ => {
                let rest = self.text[self.at..].bytes();
                self.at += rest
                    .take_while(|b| !matches!(b, b',' | b']' | b'}') && !b.is_ascii_whitespace())
                    .count();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_json() {
        let text = "{\n \"a\\\"}\": [1, {\"x\": \"]\"}],\n \"cameras\": [\n  {\"name\": \"a\"},\n  {\"name\":\n \"b\"}\n ]\n}";
        for (key, line) in [
            ("cameras[0].name", 4),
            ("cameras[1].name", 6),
            ("cameras[1].sorce", 5),
            ("cameras[7]", 4 - 1),
            ("other", 1),
        ] {
            assert_eq!(line_of(text, false, key), Some(line), "{key}");
        }
    }

    #[test]
    fn keys_are_found_in_toml() {
        let text =
            "topology = 'x'\n[[cameras]]\nname = 'a'\n[[cameras]]\nname = 'b'\nsource = 'c'\n";
        for (key, line) in [
            ("topology", 1),
            ("cameras[1].source", 6),
            ("cameras[0].name", 3),
        ] {
            assert_eq!(line_of(text, true, key), Some(line), "{key}");
        }
    }
}
