//! Sources that are alike, and are found: each file of a directory is one.
//!
//! What is found may be broken, half written or gone at any time; none of that may stop
//! the program or disturb another source. A source is called after its file, whatever
//! is in that, so that its mirrors remain its own while the file cannot be read.

use std::path::{Path, PathBuf};

use reflector_planner::{SourceName, policy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cluster_profiles::Profiles;
use super::file::RemovedSources;
use super::objects::Objects;
use super::{ObjectPlace, Origin, SourceApi, SourceEntry, Verdict, label_of};

/// Beginning of the warning about an invalid URL in `sourceURLs`.
pub(super) const LEFT_OUT: &str = "sourceURLs: left out:";

/// A directory in which each file is a kubeconfig, and so a source.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeconfigDir {
    /// The directory.
    pub path: PathBuf,
    /// Defaults of its sources.
    #[serde(default, rename = "defaults", alias = "each")]
    pub each: SourceDefaults,
    /// `true` if its files may refer to other files and run programs (`tokenFile`, `exec`, …). All
    /// that can write to the directory can then read files of the reflector.
    #[serde(default)]
    pub allow_references: bool,
    /// Files with this in their names are no sources, if a front end sets it.
    #[serde(skip)]
    pub(crate) passed_over: Option<&'static str>,
}

/// Defaults of discovered sources: keys of a source, without its name and its address. In a prefix,
/// `{source}` stands for the name.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SourceDefaults(pub Map<String, Value>);

/// All that is found.
pub(super) struct Groups {
    pub(super) directory: Option<KubeconfigDir>,
    pub(super) urls: Option<SourceApi>,
    /// Text of the ConfigMap of the URLs, if it was read.
    pub(super) config_map: Option<String>,
    /// Sources of the CRD.
    pub(super) objects: Objects,
    /// ClusterProfiles.
    pub(super) profiles: Profiles,
}

impl Groups {
    pub(super) fn are_none(&self) -> bool {
        self.directory.is_none() && self.urls.is_none() && self.places().next().is_none()
    }

    /// Returns the objects that are read.
    pub(super) fn places(&self) -> impl Iterator<Item = ObjectPlace> + use<> {
        let sources = self.objects.place();
        sources.into_iter().chain(self.profiles.place.clone())
    }

    /// The files and directories where something is found.
    pub(super) fn inputs(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let directory = self.directory.as_ref().map(|it| it.path.clone());
        let file = self.urls.as_ref().and_then(|it| it.file.clone());
        directory.into_iter().chain(file)
    }

    /// Adds the discovered sources, and reports invalid ones. Returns the decisions on objects.
    pub(super) fn add(
        &self,
        removed_sources: RemovedSources,
        entries: &mut Vec<SourceEntry>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Verdict>, InvalidGroup> {
        if let Some(directory) = &self.directory {
            directory.add(removed_sources, entries, notes)?;
        }
        if let Some(urls) = &self.urls {
            let text = self.config_map.as_deref();
            urls.add(text, removed_sources, entries, notes)?;
        }
        let mut verdicts = self.objects.add(removed_sources, entries, notes);
        verdicts.extend(self.profiles.add(removed_sources, entries, notes));
        Ok(verdicts)
    }

    /// A source of each group, as it would be found under a name that is right.
    pub(super) fn samples(&self) -> Vec<SourceEntry> {
        let name: SourceName = "sampled0".parse().expect("a label");
        let file = self.directory.as_ref().map(|it| SourceEntry {
            kubeconfig: Some("/config".into()),
            ..it.each
                .source(GROUP, &name)
                .unwrap_or_else(|_| SourceEntry::named(name.clone()))
        });
        let url = self.urls.as_ref().map(|it| SourceEntry {
            url: Some("http://sampled0".to_owned()),
            ..it.each
                .source("sourceURLs", &name)
                .unwrap_or_else(|_| SourceEntry::named(name.clone()))
        });
        let profile = self.profiles.place.as_ref().map(|_| SourceEntry {
            url: Some("http://sampled0".to_owned()),
            ..self
                .profiles
                .defaults
                .source("clusterProfiles", &name)
                .unwrap_or_else(|_| SourceEntry::named(name.clone()))
        });
        file.into_iter().chain(url).chain(profile).collect()
    }

    /// Returns whether something was found that is no source, and may have been one.
    pub(super) fn lacks_some(&self, notes: &[String], verdicts: &[Verdict]) -> bool {
        self.objects.lacks_some()
            || self.profiles.lacks_some()
            || verdicts.iter().any(Verdict::lacks_source)
            || notes.iter().any(|it| it.starts_with(LEFT_OUT))
    }

    /// Returns the treatment of the mirrors of absent sources. A source that is not known yet was
    /// not removed.
    pub(super) fn removed_sources(
        &self,
        asked: RemovedSources,
        all_fit: bool,
    ) -> policy::RemovedSources {
        if !all_fit {
            // The mirrors of what is left out stay.
            return policy::RemovedSources::Keep;
        }
        let reads = self.urls.as_ref().is_some_and(|it| it.config_map.is_some());
        if reads && self.config_map.is_none() {
            return policy::RemovedSources::Keep;
        }
        asked.into()
    }
}

/// Error of a group of discovered sources.
#[derive(Debug, thiserror::Error)]
pub enum InvalidGroup {
    /// The directory does not open.
    #[error(
        "cannot read kubeconfigDir {path}: check that it is a directory, mounted, and may be read"
    )]
    Read {
        /// The directory.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// A directory that is empty by accident would cost all mirrors.
    #[error(
        "kubeconfigDir {0} is empty, and with removedSources: delete the mirrors of all its \
         sources would go; put a kubeconfig there, or remove kubeconfigDir"
    )]
    Empty(PathBuf),
    /// The file of URLs does not open.
    #[error("cannot read sourceURLs.file {path}: check that it is mounted and may be read")]
    ReadUrls {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// URLs that are nowhere, or in two places.
    #[error("sourceURLs: give it either file or configMap, in which the URLs are")]
    NoPlace,
    /// A list that is empty by accident would cost all mirrors.
    #[error(
        "sourceURLs has no URL, and with removedSources: delete the mirrors of all its sources \
         would go; put a URL there, or remove sourceURLs"
    )]
    NoUrls,
    /// ClusterProfiles whose configuration is invalid.
    #[error("clusterProfiles.{0}")]
    Profiles(String),
    /// The defaults have keys that a source cannot have.
    #[error("{group}.defaults: {why}")]
    Defaults {
        /// The group.
        group: &'static str,
        /// Error.
        why: String,
    },
}

const GROUP: &str = "kubeconfigDir";
const OF_ITS_OWN: [&str; 5] = ["name", "url", "kubeconfig", "context", "cluster"];
// What people and tools append to the names of kubeconfigs.
const EXTENSIONS: [&str; 6] = ["yaml", "yml", "json", "conf", "config", "kubeconfig"];

impl KubeconfigDir {
    /// Adds its sources, in the order of their files, and reports invalid files.
    pub(super) fn add(
        &self,
        removed_sources: RemovedSources,
        entries: &mut Vec<SourceEntry>,
        notes: &mut Vec<String>,
    ) -> Result<(), InvalidGroup> {
        let files = self.files().map_err(|source| InvalidGroup::Read {
            path: self.path.clone(),
            source,
        })?;
        if files.is_empty() && removed_sources == RemovedSources::Delete {
            return Err(InvalidGroup::Empty(self.path.clone()));
        }
        // Errors of the defaults are reported before there is a file.
        self.each.source(GROUP, &"name".parse().expect("a label"))?;
        for file in files {
            let shown = file.display();
            if self.passes_over(&file) {
                let part = self.passed_over.unwrap_or_default();
                notes.push(format!(
                    "{shown} is no source, as it never was: its name contains {part}; rename it"
                ));
                continue;
            }
            let Some(name) = name_of(&file) else {
                notes.push(format!(
                    "{GROUP}: {shown} is no source: no letter or digit in its name"
                ));
                continue;
            };
            if entries.iter().any(|it| it.name == name) {
                notes.push(format!(
                    "{GROUP}: {shown} is no source: there is another source {name}"
                ));
                continue;
            }
            entries.push(SourceEntry {
                kubeconfig: Some(file),
                is_inline: !self.allow_references,
                ..self.each.source(GROUP, &name)?
            });
        }
        Ok(())
    }

    /// Returns whether one of its files is a source of that name, as far as that can be read.
    pub(crate) fn has(&self, name: &str) -> bool {
        let files = self.files().unwrap_or_default();
        let mut sources = files.iter().filter(|it| !self.passes_over(it));
        sources.any(|it| name_of(it).is_some_and(|it| it.as_str() == name))
    }

    fn passes_over(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.passed_over.is_some_and(|part| name.contains(part))
    }

    /// Its files, in the order of their names. What points nowhere is a file that cannot
    /// be read.
    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if !path.is_dir() && !is_aside(&path) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

impl SourceDefaults {
    /// A source of that name that has it, to which there is no way yet.
    pub(super) fn source(
        &self,
        group: &'static str,
        name: &SourceName,
    ) -> Result<SourceEntry, InvalidGroup> {
        let invalid = |why| InvalidGroup::Defaults { group, why };
        let Self(each) = self;
        if let Some(key) = OF_ITS_OWN.into_iter().find(|it| each.contains_key(*it)) {
            return Err(invalid(format!("{key} is of one source: remove it")));
        }
        let mut entry = each.clone();
        if let Some(Value::String(prefix)) = entry.get_mut("prefix") {
            *prefix = prefix.replace("{source}", name.as_str());
        }
        entry.insert("name".to_owned(), Value::from(name.as_str()));
        let entry: SourceEntry =
            serde_json::from_value(Value::Object(entry)).map_err(|why| invalid(why.to_string()))?;
        Ok(SourceEntry {
            origin: Origin::Found,
            ..entry
        })
    }
}

/// Returns whether a file is one that editors and kubelets put beside others.
fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with('~')
}

/// A source is called as its file, without an extension, and in letters that a name may
/// have.
fn name_of(file: &Path) -> Option<SourceName> {
    let extension = file.extension().and_then(|it| it.to_str());
    let is_known = extension.is_some_and(|it| EXTENSIONS.contains(&it));
    let name = if is_known {
        file.file_stem()
    } else {
        file.file_name()
    };
    let label = label_of(&name?.to_string_lossy()).ok()?;
    label.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_source_is_called_as_its_file() {
        for (file, name) in [
            ("east", Some("east")),
            ("east.yaml", Some("east")),
            ("east.kubeconfig", Some("east")),
            ("Prod_EU.conf", Some("prod-eu")),
            ("east.example.org", Some("east-example-org")),
            ("east.yaml.bak", Some("east-yaml-bak")),
            ("___", None),
        ] {
            let path = std::path::Path::new("/etc/clusters").join(file);
            let found = name_of(&path).map(|it| it.to_string());
            assert_eq!(found.as_deref(), name, "{file}");
        }
    }
}
