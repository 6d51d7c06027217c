//! Passwords in addresses of cameras: kept out of logs, lines that are printed, pages and errors.

use super::percent::decoded;

/// What stands for something that is not shown.
const HIDDEN: &str = "…";
/// Shorter passwords are not looked for in texts: they would hide half of every message.
const SHORTEST: usize = 3;

/// The address without its password and without the values of its options.
pub fn masked(address: &str) -> String {
    let shown = gstreid::store::without_password(address);
    let Some((path, query)) = shown.split_once('?') else {
        return shown;
    };
    let options: Vec<String> = query
        .split('&')
        .map(|option| match option.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.into(),
        })
        .collect();
    format!("{path}?{}", options.join("&"))
}

/// Parts of an address that must never be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Those of `address`.
    pub fn of(address: &str) -> Self {
        let mut found = Vec::new();
        let rest = address.split_once("://").map_or("", |(_, rest)| rest);
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if let Some((_, password)) = place
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
        {
            found.push(password.to_owned());
            found.extend(decoded(password));
        }
        let values = query
            .split('&')
            .filter_map(|option| option.split_once('='))
            .map(|(_, v)| v);
        for value in values {
            found.push(value.to_owned());
            found.extend(decoded(value));
        }
        found.retain(|secret| secret.len() >= SHORTEST);
        // The longest first: a part of it is not left over.
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(found)
    }

    /// `text` without them.
    pub fn scrub(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_opens_them() {
        assert_eq!(
            masked("rtsp://ada:s3cret@cam/1?token=abc&x"),
            "rtsp://ada:…@cam/1?token=…&…"
        );
        assert_eq!(masked("http://cam/1"), "http://cam/1");
    }

    #[test]
    fn messages_lose_their_secrets() {
        let secrets = Secrets::of("rtsp://ada:s3%40cret@cam/1?token=abcd");
        let said = secrets.scrub("cannot open rtsp://ada:s3%40cret@cam (s3@cret) token=abcd");
        assert_eq!(said, "cannot open rtsp://ada:…@cam (…) token=…");
        assert_eq!(
            Secrets::of("rtsp://cam/1").scrub("cam is off"),
            "cam is off"
        );
    }
}
