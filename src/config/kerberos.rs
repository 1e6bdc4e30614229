//! `GSSAPI`: what `sasl.jaas.config` and `sasl.kerberos.service.name` say of Kerberos, as Java's Krb5LoginModule and
//! KerberosLogin read it.
//!
//! The system's library is used through libgssapi, whose safe interface cannot name a ticket cache or keytab: these come
//! from the environment or krb5.conf. An option that names a file therefore has to say the same as the environment.

use super::jaas::Jaas;
use crate::security::Kerberos;

/// What is wrong.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Whether something is missing rather than wrong.
    pub(super) is_missing: bool,
    pub(super) key: &'static str,
    pub(super) what: String,
    pub(super) help: String,
}

/// Reads it. `environment` knows the variables of this process.
pub(super) fn read(
    jaas: Option<&Jaas>,
    service: Option<&str>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Kerberos, Wrong> {
    let option = |name| jaas.and_then(|jaas| jaas.option(name)).filter(|value| !value.is_empty());
    let principal = option("principal");
    let keytab = jaas.is_some_and(|jaas| truth(jaas, "useKeyTab"));
    if let Some(jaas) = jaas {
        files(jaas, principal, environment)?;
    }
    let service = match (option("serviceName"), service) {
        (Some(own), Some(key)) if own != key => {
            let what = format!("{key:?}, while serviceName in sasl.jaas.config is {own:?}");
            return Err(wrong("sasl.kerberos.service.name", what, "leave one of them out"));
        }
        (Some(service), _) | (None, Some(service)) => service,
        (None, None) => {
            let help = "set the first part of the brokers' principals: kafka, if they are kafka/HOST@REALM. (Without a \
                        sasl.mechanism the login is by Kerberos.)";
            return Err(Wrong { is_missing: true, ..wrong("sasl.kerberos.service.name", "missing", help) });
        }
    };
    Ok(Kerberos { service: service.to_owned(), principal: principal.map(str::to_owned), keytab })
}

fn truth(jaas: &Jaas, name: &str) -> bool {
    jaas.option(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn files(jaas: &Jaas, principal: Option<&str>, environment: impl Fn(&str) -> Option<String>) -> Result<(), Wrong> {
    for (file, switch, variable) in
        [("keyTab", "useKeyTab", "KRB5_CLIENT_KTNAME"), ("ticketCache", "useTicketCache", "KRB5CCNAME")]
    {
        let Some(path) = jaas.option(file).filter(|path| !path.is_empty()) else { continue };
        if !truth(jaas, switch) {
            // So does Java.
            return Err(wrong(JAAS, format!("{file} without {switch}=true"), format!("add {switch}=true")));
        }
        let path = without_type(path);
        let found = environment(variable);
        if found.as_deref().map(without_type) != Some(path) {
            let found = found.map_or_else(|| "not set".to_owned(), |found| found.escape_debug().to_string());
            let what =
                format!("{file} cannot be handed to the system's Kerberos, which has it from {variable} ({found})");
            let help = format!("set {variable}=FILE:{} in the environment of this process", path.escape_debug());
            return Err(wrong(JAAS, what, help));
        }
    }
    if truth(jaas, "useKeyTab") && !truth(jaas, "useTicketCache") && principal.is_none() {
        // Java would take the operating system's user name, and the library here whoever is first in the keytab. A ticket
        // cache says who, so beside one it is left to that.
        return Err(wrong(JAAS, "useKeyTab=true without a principal", "add principal=\"NAME@REALM\""));
    }
    Ok(())
}

/// A file by name; other types of caches and keytabs keep theirs.
fn without_type(name: &str) -> &str {
    name.strip_prefix("FILE:").unwrap_or(name)
}

fn wrong(key: &'static str, what: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { is_missing: false, key, what: what.into(), help: help.into() }
}

const JAAS: &str = "sasl.jaas.config";

#[cfg(test)]
mod tests {
    use super::super::jaas;
    use super::*;

    fn read_with(options: &str, service: Option<&str>, environment: &[(&str, &str)]) -> Result<Kerberos, String> {
        let text = format!("com.sun.security.auth.module.Krb5LoginModule required {options};");
        let jaas = jaas::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let variable =
            |name: &str| environment.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned());
        let read = read(Some(&jaas), service, variable);
        read.map_err(|Wrong { key, what, help, .. }| format!("{key}: {what}: {help}"))
    }

    #[test]
    fn who_and_for_which_service() {
        let kafka = |principal: Option<&str>| Kerberos {
            service: "kafka".into(),
            principal: principal.map(str::to_owned),
            keytab: false,
        };
        assert_eq!(read(None, Some("kafka"), |_| None).unwrap(), kafka(None));
        assert_eq!(read_with("useTicketCache=true serviceName=\"kafka\"", None, &[]), Ok(kafka(None)));
        let both = "principal=\"alice@TESTS\" useTicketCache=\"true\" serviceName=kafka storeKey=true";
        assert_eq!(read_with(both, Some("kafka"), &[]), Ok(kafka(Some("alice@TESTS"))));
        let keytab = read_with("useKeyTab=true useTicketCache=true", Some("kafka"), &[]);
        assert_eq!(keytab, Ok(Kerberos { keytab: true, ..kafka(None) }));
        let error = read_with("useKeyTab=true", Some("kafka"), &[]).unwrap_err();
        assert!(error.contains("useKeyTab=true without a principal"), "{error}");
        let error = read_with("serviceName=kafka", Some("other"), &[]).unwrap_err();
        assert!(error.starts_with("sasl.kerberos.service.name: \"other\", while serviceName"), "{error}");
        let missing = read(None, None, |_| None).unwrap_err();
        assert!(missing.is_missing && missing.key == "sasl.kerberos.service.name");
    }

    #[test]
    fn a_file_is_that_of_the_environment_or_an_error_that_says_what_to_set() {
        let keytab = "useKeyTab=true principal=\"alice@TESTS\" keyTab=\"/etc/alice.keytab\"";
        for value in ["/etc/alice.keytab", "FILE:/etc/alice.keytab"] {
            read_with(keytab, Some("kafka"), &[("KRB5_CLIENT_KTNAME", value)]).unwrap();
        }
        for environment in [&[][..], &[("KRB5_CLIENT_KTNAME", "FILE:/other")], &[("KRB5_KTNAME", "/etc/alice.keytab")]]
        {
            let error = read_with(keytab, Some("kafka"), environment).unwrap_err();
            assert!(error.starts_with("sasl.jaas.config: keyTab cannot be handed"), "{error}");
            assert!(
                error.ends_with("set KRB5_CLIENT_KTNAME=FILE:/etc/alice.keytab in the environment of this process")
            );
        }
        let cache = "useTicketCache=true ticketCache=\"FILE:/tmp/c\"";
        read_with(cache, Some("kafka"), &[("KRB5CCNAME", "/tmp/c")]).unwrap();
        let error = read_with(cache, Some("kafka"), &[]).unwrap_err();
        assert!(error.contains("KRB5CCNAME (not set): set KRB5CCNAME=FILE:/tmp/c "), "{error}");
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for (options, words) in [
            ("keyTab=\"/k\"", "keyTab without useKeyTab=true"),
            ("useKeyTab=false keyTab=\"/k\"", "keyTab without useKeyTab=true"),
            ("ticketCache=\"/c\"", "ticketCache without useTicketCache=true"),
        ] {
            let error = read_with(options, Some("kafka"), &[("KRB5_CLIENT_KTNAME", "/k"), ("KRB5CCNAME", "/c")]);
            let error = error.unwrap_err();
            assert!(error.contains(words), "{options}: {error}");
        }
    }
}
