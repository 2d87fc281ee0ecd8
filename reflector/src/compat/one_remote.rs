//! The programs of one remote: kube-service-mirror, and what semaphore-service-mirror was before
//! 0.4. All settings are flags, or variables that are their defaults.
//!
//! Both have the same flags, and other names of mirrors: the variables distinguish them, or
//! `--compat`.

use reflector_planner::name::Template;

use super::settings::{Settings, secured, words_of, wrong};
use super::{Environment, Error, defaults};
use crate::config::{Args, ImportEntry, SourceEntry};
use runtime::flags::{Dashes, Syntax, is_duration, switch};

/// Program whose names and variables are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// kube-service-mirror.
    Kube,
    /// semaphore-service-mirror before 0.4.
    Semaphore,
}

const SYNTAX: Syntax = Syntax {
    values: &[
        "admin-bind-address",
        "kube-config",
        "label-selector",
        "listen",
        "log-level",
        "mirror-ns",
        "remote-api-url",
        "remote-ca-url",
        "remote-sa-token-path",
        "resync-period",
        "svc-prefix",
        "target-kube-config",
    ],
    switches: &["svc-sync"],
    dashes: Dashes::OneOrTwo,
};

/// Flags that only these programs have.
const OWN: [(&str, &str); 8] = [
    ("label-selector", "LABEL_SELECTOR"),
    ("remote-api-url", "REMOTE_API_URL"),
    ("remote-ca-url", "REMOTE_CA_URL"),
    ("remote-sa-token-path", "REMOTE_SERVICE_ACCOUNT_TOKEN"),
    ("resync-period", "RESYNC_PERIOD"),
    ("svc-prefix", "SVC_PREFIX"),
    ("svc-sync", "SVC_SYNC"),
    ("target-kube-config", "TARGET_KUBE_CONFIG"),
];

impl Dialect {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Kube => "KSM_",
            Self::Semaphore => "SSM_",
        }
    }

    fn variable(self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    fn has_variables(self, environment: &Environment) -> bool {
        OWN.iter().any(|(_, name)| {
            let value = environment.get(&self.variable(name));
            value.is_some_and(|it| !it.is_empty())
        })
    }

    /// Returns whether any variable begins as this program's do. Another program has the other
    /// prefix too.
    fn has_any_variable(self, environment: &Environment) -> bool {
        let mut variables = environment.iter();
        variables.any(|(name, value)| name.starts_with(self.prefix()) && !value.is_empty())
    }

    /// Returns the dialect of the variables that are set; that of the younger program if none are.
    pub(super) fn of(environment: &Environment) -> Self {
        if Self::Kube.has_any_variable(environment) {
            Self::Kube
        } else {
            Self::Semaphore
        }
    }
}

/// Returns whether these words, or the variables with no other words, are for one of them.
pub(super) fn is_its(words: &[String], environment: &Environment) -> bool {
    let own = |flag: &str| OWN.iter().any(|(it, _)| *it == flag);
    if words.iter().filter_map(|it| SYNTAX.has(it)).any(own) {
        return true;
    }
    let is_alone = SYNTAX.read(words).is_ok_and(|it| it.ignored.is_empty());
    is_alone
        && (Dialect::Kube.has_any_variable(environment)
            || Dialect::Semaphore.has_variables(environment))
}

/// The same as flags of this program.
pub(super) fn translate(
    words: &[String],
    environment: &Environment,
    dialect: Dialect,
) -> Result<Args, Error> {
    let settings = Settings {
        flags: SYNTAX.read(words)?,
        environment,
    };
    let get = |flag, name| settings.get(flag, &dialect.variable(name));
    let mut args = defaults();
    settings.note(&mut args.notes);
    args.kubeconfig = get("kube-config", "KUBE_CONFIG").map(Into::into);
    args.habits.sweeps = true;
    args.listen = settings.admin_address()?;
    let level = get("log-level", "LOG_LEVEL").unwrap_or("info");
    // They took an unknown level for the default.
    args.log_level = level.to_lowercase().parse().unwrap_or_default();
    let need = |flag, name| {
        let variable = dialect.variable(name);
        get(flag, name).ok_or_else(|| Error::Words(format!("-{flag} or {variable} must be set")))
    };
    let namespace = need("mirror-ns", "MIRROR_NS")?;
    let namespace = namespace.parse().map_err(|why| wrong("-mirror-ns", why))?;
    args.mirror_namespace = Some(namespace);
    let prefix = need("svc-prefix", "SVC_PREFIX")?;
    let selector = need("label-selector", "LABEL_SELECTOR")?;
    note_periods(&settings, dialect, &mut args.notes)?;
    let mut source = source(&settings, dialect, prefix, &mut args.notes)?;
    source.selector = Some(selector.to_owned());
    args.sources.push(source);
    Ok(args)
}

/// Notes valid values that are not needed.
fn note_periods(
    settings: &Settings<'_>,
    dialect: Dialect,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let get = |flag, name| settings.get(flag, &dialect.variable(name));
    if let Some(period) = get("resync-period", "RESYNC_PERIOD") {
        if !is_duration(period) {
            let why = format!("invalid value {period:?}: write it as 60m or 1h30m");
            return Err(wrong("-resync-period", why));
        }
        notes.push("resync-period is accepted, and not needed: what changes is watched".into());
    }
    if let Some(sync) = get("svc-sync", "SVC_SYNC") {
        let Some(_) = switch(sync) else {
            let why = format!("invalid boolean value {sync:?}: write true or false");
            return Err(wrong("-svc-sync", why));
        };
        notes.push(
            "svc-sync is accepted; mirrors always converge, and guards make that safe".into(),
        );
    }
    Ok(())
}

fn source(
    settings: &Settings<'_>,
    dialect: Dialect,
    prefix: &str,
    notes: &mut Vec<String>,
) -> Result<SourceEntry, Error> {
    let get = |flag, name| settings.get(flag, &dialect.variable(name));
    let label = super::settings::prefix("-svc-prefix", prefix, notes)?;
    let name = label.to_string().parse();
    let mut source = SourceEntry::named(name.map_err(|why| wrong("-svc-prefix", why))?);
    source.prefix = Some(label);
    source.import = ImportEntry::naming_nodes();
    source.naming.template = match dialect {
        Dialect::Kube => Some(Template::old().to_string()),
        Dialect::Semaphore => None,
    };
    if let Some(kubeconfig) = get("target-kube-config", "TARGET_KUBE_CONFIG") {
        source.kubeconfig = Some(kubeconfig.into());
        return Ok(source);
    }
    let url = get("remote-api-url", "REMOTE_API_URL");
    let authority = get("remote-ca-url", "REMOTE_CA_URL");
    let file = settings.flags.last("remote-sa-token-path");
    let file = file.filter(|it| !it.is_empty());
    let variable = dialect.variable("REMOTE_SERVICE_ACCOUNT_TOKEN");
    let variable = Some(variable).filter(|it| settings.variable(it).is_some());
    let has_token = file.is_some() || variable.is_some();
    let (Some(url), Some(authority), true) = (url, authority, has_token) else {
        return Err(words_of(
            "Insufficient configuration to create remote cluster client. Set target-kube-config \
             or remote-api-url and remote-ca-url and remote-sa-token-path",
        ));
    };
    source.url = Some(secured(url));
    source.ca_url = Some(secured(authority));
    source.token_file = file.map(Into::into);
    source.token_variable = variable.filter(|_| file.is_none());
    Ok(source)
}
