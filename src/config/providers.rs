//! `config.providers`: `${name:path:key}` in a value is looked up when the configuration is read (KIP-297, KIP-421), so
//! that secrets stand in the environment or in files of their own.

use super::entry::{Entry, Raw};
use super::error::{Problem, ProblemKind};
use super::properties;
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// Puts what the providers say into the values of all other keys, and takes the providers' own keys away.
pub(super) fn apply(entries: Vec<Entry>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let (own, mut others): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.key.starts_with(PREFIX));
    let named = others.iter().rev().find(|entry| entry.key == "config.providers");
    let names: Vec<String> = match named.map(|entry| &entry.raw) {
        Some(Raw::Text(text)) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(Raw::List(names)) => names.clone(),
        None => Vec::new(),
    };
    let mut providers = BTreeMap::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        match provider(name, &own) {
            Ok(provider) => drop(providers.insert(name.as_str(), provider)),
            Err((what, help)) => {
                let place = named.map(|entry| &entry.place);
                let Some(place) = own.iter().find(|entry| belongs(entry, name)).map(|entry| &entry.place).or(place)
                else {
                    continue;
                };
                let key = format!("{PREFIX}{name}.class");
                problems.push(Problem::new(ProblemKind::InvalidValue, place, Some(&key), what).help(help));
            }
        }
    }
    for entry in own.iter().filter(|entry| !names.iter().any(|name| belongs(entry, name))) {
        let what = "belongs to no provider that config.providers names";
        problems.push(Problem::new(ProblemKind::Conflict, &entry.place, Some(&entry.key), what));
    }
    if names.is_empty() {
        return others;
    }
    for entry in &mut others {
        if entry.key == "config.providers" {
            continue;
        }
        let texts: Vec<&mut String> = match &mut entry.raw {
            Raw::Text(text) => vec![text],
            Raw::List(texts) => texts.iter_mut().collect(),
        };
        for text in texts {
            match replace(text, &providers) {
                Ok(replaced) => {
                    entry.provided |= *text != replaced;
                    *text = replaced;
                }
                Err(what) => {
                    let problem = Problem::new(ProblemKind::InvalidValue, &entry.place, Some(&entry.key), what);
                    problems.push(problem.help("${NAME:PATH:KEY} is looked up in the provider of that name"));
                }
            }
        }
    }
    others
}

const PREFIX: &str = "config.providers.";

fn belongs(entry: &Entry, name: &str) -> bool {
    entry.key.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('.'))
}

enum Provider {
    /// `${env:NAME}`, of the variables whose whole name matches `param.allowlist.pattern`, if there is one.
    Environment(Option<Regex>),
    /// `${file:PATH:KEY}`: a key of a properties file.
    File(Allowed),
    /// `${dir:PATH:NAME}`: a file in a folder, whole.
    Directory(Allowed),
}

/// `param.allowed.paths`: files below these folders only, if any are named.
struct Allowed(Vec<PathBuf>);

type Wrong = (String, String);

fn provider(name: &str, own: &[Entry]) -> Result<Provider, Wrong> {
    let text = |suffix: &str| {
        let key = format!("{PREFIX}{name}.{suffix}");
        own.iter().rev().find(|entry| entry.key == key).and_then(|entry| match &entry.raw {
            Raw::Text(text) => Some(text.trim()),
            Raw::List(_) => None,
        })
    };
    for entry in own.iter().filter(|entry| belongs(entry, name)) {
        let suffix = &entry.key[PREFIX.len() + name.len() + 1..];
        if !["class", ALLOWED_PATHS, ALLOWLIST].contains(&suffix) {
            let what = format!("{suffix} is not supported");
            return Err((what, format!("class, {ALLOWED_PATHS} (of files) and {ALLOWLIST} (of the environment) are")));
        }
    }
    let allowed = || {
        let paths = text(ALLOWED_PATHS).unwrap_or_default();
        let paths = paths.split(',').map(str::trim).filter(|path| !path.is_empty());
        Allowed(paths.map(PathBuf::from).collect())
    };
    let Some(class) = text("class") else {
        return Err((format!("config.providers names {name}, and its class is missing"), CLASSES.to_owned()));
    };
    let pattern = || match text(ALLOWLIST) {
        // As in Java, it is the whole name that must match.
        Some(pattern) => Regex::new(&format!("^(?:{pattern})$")).map(Some).map_err(|error| {
            let help = "it is a regular expression, without look-around and back-references";
            (format!("{ALLOWLIST} is no pattern: {error}"), help.to_owned())
        }),
        None => Ok(None),
    };
    // A restriction that restricts nothing would be believed in.
    let has_no = |suffix: &str, own: &str| match text(suffix) {
        Some(_) => Err((format!("{suffix} means nothing to this provider"), format!("it has {own}"))),
        None => Ok(()),
    };
    match class.strip_prefix("org.apache.kafka.common.config.provider.").unwrap_or(class) {
        "EnvVarConfigProvider" | "env" => {
            has_no(ALLOWED_PATHS, ALLOWLIST)?;
            Ok(Provider::Environment(pattern()?))
        }
        "FileConfigProvider" | "file" => {
            has_no(ALLOWLIST, ALLOWED_PATHS)?;
            Ok(Provider::File(allowed()))
        }
        "DirectoryConfigProvider" | "directory" => {
            has_no(ALLOWLIST, ALLOWED_PATHS)?;
            Ok(Provider::Directory(allowed()))
        }
        _ => Err(("no such provider can be loaded here".to_owned(), CLASSES.to_owned())),
    }
}

const ALLOWED_PATHS: &str = "param.allowed.paths";
const ALLOWLIST: &str = "param.allowlist.pattern";

const CLASSES: &str = "write env, file or directory, or Java's EnvVarConfigProvider, FileConfigProvider or \
                       DirectoryConfigProvider";

/// As Java: what names no known provider stays as it is.
fn replace(text: &str, providers: &BTreeMap<&str, Provider>) -> Result<String, String> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let Some(end) = from.find('}') else { break };
        replaced.push_str(before);
        let (whole, inner) = (&from[..=end], &from[2..end]);
        rest = &from[end + 1..];
        match inner.split_once(':').and_then(|(name, path)| Some((name, path, providers.get(name)?))) {
            Some((name, path, provider)) => replaced.push_str(&look_up(name, path, provider)?),
            None => replaced.push_str(whole),
        }
        if rest.is_empty() {
            return Ok(replaced);
        }
    }
    replaced.push_str(rest);
    Ok(replaced)
}

/// `path` is what stands behind the provider's name: the key, or a path and the key.
fn look_up(name: &str, path: &str, provider: &Provider) -> Result<Zeroizing<String>, String> {
    let (path, key) = path.rsplit_once(':').unwrap_or(("", path));
    match provider {
        Provider::Environment(Some(pattern)) if !pattern.is_match(key) => {
            Err(format!("${{{name}:…}}: the name {key} does not match {ALLOWLIST}"))
        }
        Provider::Environment(_) => std::env::var(key)
            .map(Zeroizing::new)
            .map_err(|_| format!("${{{name}:…}}: the environment has no variable {key}, or not as text")),
        Provider::File(allowed) => {
            let text = read(name, Path::new(path), allowed)?;
            properties::value_of(&text, key)
                .map(Zeroizing::new)
                .ok_or_else(|| format!("${{{name}:…}}: {path} has no key {key}"))
        }
        Provider::Directory(allowed) => {
            if Path::new(key).components().any(|part| !matches!(part, Component::Normal(_))) || key.contains('/') {
                return Err(format!("${{{name}:…}}: {key} is no file's name"));
            }
            read(name, &Path::new(path).join(key), allowed)
        }
    }
}

fn read(name: &str, path: &Path, allowed: &Allowed) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let fails = |error: std::io::Error| format!("${{{name}:…}}: {shown} cannot be read: {error}");
    let real = path.canonicalize().map_err(fails)?;
    let within = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder));
    if !allowed.0.is_empty() && !allowed.0.iter().any(within) {
        return Err(format!("${{{name}:…}}: {shown} is not below param.allowed.paths"));
    }
    let bytes = Zeroizing::new(super::read_file(&real).map_err(fails)?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(format!("${{{name}:…}}: {shown} is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::SerializerClass;

    fn config(text: &str) -> Result<Config, String> {
        Config::from_properties(&format!("bootstrap.servers=a:1\n{text}")).map_err(|error| error.to_string())
    }

    #[test]
    fn values_come_from_the_environment_and_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        std::fs::write(folder.path().join("secrets.properties"), "serializer = json\nother=1\n").unwrap();
        std::fs::write(folder.path().join("id"), "orders").unwrap();
        let text = format!(
            "config.providers=env,file,dir\nconfig.providers.env.class=env\n\
             config.providers.env.param.allowlist.pattern=HOME|CARGO_.*\n\
             config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n\
             config.providers.file.param.allowed.paths={path}\nconfig.providers.dir.class=directory\n\
             key.serializer=${{file:{path}/secrets.properties:serializer}}\n\
             client.id=${{dir:{path}:id}}-${{env:CARGO_PKG_NAME}}-${{nobody:x}}-${{open"
        );
        let config = config(&text).unwrap();
        assert_eq!(config.producer.key_serializer, SerializerClass::Json);
        let package = std::env::var("CARGO_PKG_NAME").unwrap();
        assert_eq!(config.producer.client_id, Some(format!("orders-{package}-${{nobody:x}}-${{open")));
    }

    #[test]
    fn what_cannot_be_looked_up_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        std::fs::write(folder.path().join("s"), "a=b\n").unwrap();
        for (text, words) in [
            (
                "config.providers=env\nconfig.providers.env.class=env\nclient.id=${env:POINTSMAN_NO_SUCH}",
                "line 4: client.id",
            ),
            ("config.providers=f\nconfig.providers.f.class=file\nclient.id=${f:/no/such:k}", "cannot be read"),
            (
                &format!("config.providers=f\nconfig.providers.f.class=file\nclient.id=${{f:{path}/s:k}}"),
                "has no key k",
            ),
            (
                &format!(
                    "config.providers=f\nconfig.providers.f.class=file\nconfig.providers.f.param.allowed.paths=/usr\n\
                     client.id=${{f:{path}/s:a}}"
                ),
                "not below param.allowed.paths",
            ),
            ("config.providers=d\nconfig.providers.d.class=directory\nclient.id=${d:/usr:../etc}", "no file's name"),
            ("config.providers=v", "its class is missing"),
            ("config.providers=v\nconfig.providers.v.class=com.example.Vault", "write env, file or directory"),
            ("config.providers.v.class=env", "names"),
            (
                "config.providers=v\nconfig.providers.v.class=env\nconfig.providers.v.param.allowlist.pattern=CARGO\n\
                 client.id=${v:CARGO_PKG_NAME}",
                "the name CARGO_PKG_NAME does not match param.allowlist.pattern",
            ),
            (
                "config.providers=v\nconfig.providers.v.class=env\nconfig.providers.v.param.allowlist.pattern=A|(",
                "is no pattern",
            ),
            (
                "config.providers=v\nconfig.providers.v.class=env\nconfig.providers.v.param.allowed.paths=/usr",
                "param.allowed.paths means nothing to this provider",
            ),
            (
                "config.providers=v\nconfig.providers.v.class=file\nconfig.providers.v.param.allowlist.pattern=A",
                "param.allowlist.pattern means nothing to this provider",
            ),
            (
                "config.providers=v\nconfig.providers.v.class=file\nconfig.providers.v.param.timeout=1",
                "param.timeout is not supported",
            ),
        ] {
            let Err(error) = config(text) else { panic!("{text} was taken") };
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn without_providers_a_value_is_what_it_is() {
        assert_eq!(config("client.id=${env:HOME}").unwrap().producer.client_id.as_deref(), Some("${env:HOME}"));
    }
}
