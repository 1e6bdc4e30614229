//! `sasl.jaas.config`: `LoginModule controlFlag option="value" … ;`, as Java's own parser reads it.

use zeroize::Zeroizing;

/// The one login module of a configuration. No `Debug`: its options are secrets.
pub(super) struct Jaas {
    module: String,
    options: Vec<(String, Zeroizing<String>)>,
}

impl Jaas {
    /// The class name without its package.
    pub(super) fn module(&self) -> &str {
        self.module.rsplit_once('.').map_or(&self.module, |(_, name)| name)
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Reads it. The error never quotes a value.
pub(super) fn parse(text: &str) -> Result<Jaas, String> {
    let mut tokens = Tokens { rest: text };
    let module = tokens.word("the class name of a login module")?;
    let flag = tokens.word("a control flag, such as required")?;
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str()) {
        return Err("after the login module comes required, requisite, sufficient or optional".to_owned());
    }
    let mut options: Vec<(String, Zeroizing<String>)> = Vec::new();
    loop {
        let name = match tokens.next()? {
            Some(Token::Word(name)) => name.to_string(),
            Some(Token::Semicolon) => break,
            Some(Token::Equals) => return Err("an = stands without the name of an option".to_owned()),
            None => return Err("it does not end with a semicolon".to_owned()),
        };
        // What is no name may be a part of a secret that was not quoted.
        let shown = if options_of_java(&name) { name.clone() } else { "an option".to_owned() };
        let Some(Token::Equals) = tokens.next()? else {
            return Err(format!("{shown} has no value: after it comes = and the value in double quotes"));
        };
        let Some(Token::Word(value)) = tokens.next()? else {
            return Err(format!("{shown} has no value: put it into double quotes"));
        };
        if options.iter().any(|(found, _)| *found == name) {
            return Err(format!("{shown} stands there twice"));
        }
        options.push((name, value));
    }
    match tokens.next()? {
        None => Ok(Jaas { module: module.to_string(), options }),
        Some(_) => Err("more than one login module: Kafka takes one only".to_owned()),
    }
}

/// Names that surely are names.
fn options_of_java(name: &str) -> bool {
    ["username", "password", "clientId", "clientSecret", "scope", "tokenauth"].contains(&name)
        || ["keyTab", "principal", "serviceName", "ticketCache", "useKeyTab", "useTicketCache"].contains(&name)
        || ["extension_", "unsecuredLogin"].iter().any(|prefix| name.starts_with(prefix))
}

enum Token {
    Word(Zeroizing<String>),
    Equals,
    Semicolon,
}

/// As Java's StreamTokenizer is set up for JAAS: words, quoted or not, between blanks, `=` and `;`.
struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn word(&mut self, expected: &str) -> Result<Zeroizing<String>, String> {
        match self.next()? {
            Some(Token::Word(word)) => Ok(word),
            _ => Err(format!("{expected} is missing")),
        }
    }

    fn next(&mut self) -> Result<Option<Token>, String> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        Ok(Some(match first {
            '=' => {
                self.rest = &self.rest[1..];
                Token::Equals
            }
            ';' => {
                self.rest = &self.rest[1..];
                Token::Semicolon
            }
            '"' | '\'' => Token::Word(self.quoted(first)?),
            _ => {
                let ends = |letter: char| letter.is_whitespace() || "=;\"'".contains(letter);
                let end = self.rest.find(ends).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Token::Word(Zeroizing::new(word.to_owned()))
            }
        }))
    }

    fn skip_blanks(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let (_, rest) = comment.split_once("*/").ok_or("a comment has no end")?;
                self.rest = rest;
            } else {
                return Ok(());
            }
        }
    }

    /// With the escapes of StreamTokenizer: those of C, up to three octal digits, and any other letter as itself.
    fn quoted(&mut self, quote: char) -> Result<Zeroizing<String>, String> {
        let no_end = "a quoted value has no closing quote";
        // As long as the text at most: nothing is left behind by growing.
        let mut value = Zeroizing::new(String::with_capacity(self.rest.len()));
        let mut letters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, letter)) = letters.next() {
            match letter {
                _ if letter == quote => {
                    self.rest = &self.rest[at + quote.len_utf8()..];
                    return Ok(value);
                }
                '\n' | '\r' => return Err(no_end.to_owned()),
                '\\' => {
                    let (_, escaped) = letters.next().ok_or(no_end)?;
                    value.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'a' => '\u{7}',
                        'v' => '\u{b}',
                        '0'..='7' => {
                            let mut code = escaped.to_digit(8).unwrap_or(0);
                            let most = if escaped <= '3' { 2 } else { 1 };
                            for _ in 0..most {
                                let Some(digit) = letters.peek().and_then(|(_, next)| next.to_digit(8)) else { break };
                                code = code * 8 + digit;
                                letters.next();
                            }
                            char::from_u32(code).unwrap_or('\0')
                        }
                        other => other,
                    });
                }
                other => value.push(other),
            }
        }
        Err(no_end.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn java_s_examples() {
        let jaas = parse(
            "org.apache.kafka.common.security.scram.ScramLoginModule required\n  username=\"alice\"\n  \
             password='hush-hush \"quoted\"'  // a comment\n tokenauth=true;",
        );
        let jaas = jaas.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(jaas.module(), "ScramLoginModule");
        assert_eq!(jaas.option("username"), Some("alice"));
        assert_eq!(jaas.option("password"), Some("hush-hush \"quoted\""));
        assert_eq!(jaas.option("tokenauth"), Some("true"));
        assert_eq!(jaas.options().count(), 3);
    }

    #[test]
    fn escapes_are_those_of_java() {
        let jaas =
            parse(r#"a.B required p="a\"b\\c\td\101\7e;=" /* and */ ;"#).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(jaas.option("p"), Some("a\"b\\c\td\u{41}\u{7}e;="));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        for (text, words) in [
            ("", "class name of a login module is missing"),
            ("a.B", "control flag"),
            ("a.B always;", "required, requisite"),
            ("a.B required username=\"a\" password=\"hush-hush\"", "does not end with a semicolon"),
            ("a.B required password \"hush-hush\";", "password has no value"),
            ("a.B required password=;", "password has no value: put it into double quotes"),
            ("a.B required password=hush hush-hush;", "an option has no value"),
            ("a.B required password=\"hush-hush;", "no closing quote"),
            ("a.B required username=a username=b;", "username stands there twice"),
            ("a.B required; c.D required;", "more than one"),
            ("a.B required /* x", "no end"),
        ] {
            let Err(error) = parse(text) else { panic!("{text} was taken") };
            assert!(error.contains(words) && !error.contains("hush"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_password_survives_quoting(password in "[^\\n\\r]*") {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let jaas = parse(&format!("a.B required password=\"{quoted}\";"));
            prop_assert_eq!(jaas.ok().and_then(|jaas| jaas.option("password").map(str::to_owned)), Some(password));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
