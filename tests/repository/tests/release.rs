//! The scripts of a release, with other binaries than the real ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use repository::{path, tool};
use serde_json::Value;

/// A directory with files that stand for the binaries of both architectures.
fn binaries() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for arch in ["amd64", "arm64"] {
        let place = folder.path().join(arch);
        fs::create_dir(&place)?;
        for program in ["emitter", "reflector", "heliograph"] {
            fs::write(place.join(program), format!("{program} {arch}"))?;
        }
    }
    Ok(folder)
}

fn image(binaries: &Path, output: &Path) -> anyhow::Result<String> {
    let pair = |arch: &str| format!("{arch}={}", binaries.join(arch).display());
    let output = Command::new(path(".ci/image"))
        .arg("9.9.9")
        .arg(output)
        .args([pair("amd64"), pair("arm64")])
        .env("CERTIFICATES", "/nowhere")
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{error}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Unpacks an archive.
fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<()> {
    let status = Command::new("tar")
        .arg("xf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .status()?;
    ensure!(status.success(), "{}", archive.display());
    Ok(())
}

#[test]
fn the_image_is_the_same_bytes_each_time() -> anyhow::Result<()> {
    let (binaries, folder) = (binaries()?, tempfile::tempdir()?);
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let first = image(binaries.path(), &one)?;
    // Times of files are no part of it.
    for program in ["emitter", "reflector"] {
        let file = binaries.path().join("amd64").join(program);
        let content = fs::read(&file)?;
        fs::remove_file(&file)?;
        fs::write(&file, content)?;
    }
    let second = image(binaries.path(), &other)?;
    ensure!(
        first == second && first.starts_with("sha256:"),
        "{first} {second}"
    );
    ensure!(fs::read(&one)? == fs::read(&other)?, "archives differ");
    fs::write(binaries.path().join("arm64/emitter"), "changed")?;
    ensure!(image(binaries.path(), &other)? != first, "a change is seen");
    Ok(())
}

#[test]
fn the_image_is_an_oci_layout_with_what_the_manifests_expect() -> anyhow::Result<()> {
    let (binaries, folder) = (binaries()?, tempfile::tempdir()?);
    let archive = folder.path().join("image.tar");
    image(binaries.path(), &archive)?;
    let layout = folder.path().join("layout");
    fs::create_dir(&layout)?;
    unpack(&archive, &layout)?;
    let read = |file: &Path| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
    };
    let blob = |descriptor: &Value| -> anyhow::Result<std::path::PathBuf> {
        let digest = descriptor["digest"].as_str().context("a digest")?;
        let name = digest.strip_prefix("sha256:").context("sha256")?;
        let file = layout.join("blobs/sha256").join(name);
        let size = descriptor["size"].as_u64();
        ensure!(size == Some(fs::metadata(&file)?.len()), "size of {digest}");
        let sum = Command::new("sha256sum").arg(&file).output()?.stdout;
        ensure!(String::from_utf8(sum)?.starts_with(name), "{digest}");
        Ok(file)
    };
    let top = read(&layout.join("index.json"))?;
    let index = read(&blob(&top["manifests"][0])?)?;
    let manifests = index["manifests"].as_array().context("manifests")?;
    ensure!(manifests.len() == 2);
    for (manifest, arch) in manifests.iter().zip(["amd64", "arm64"]) {
        ensure!(manifest["platform"]["architecture"] == arch, "{manifest}");
        let manifest = read(&blob(manifest)?)?;
        let config = read(&blob(&manifest["config"])?)?;
        ensure!(config["config"]["User"] == "65532:65532", "{config}");
        let labels = &config["config"]["Labels"];
        ensure!(
            labels["org.opencontainers.image.version"] == "9.9.9",
            "{labels}"
        );
        let root = folder.path().join(arch);
        fs::create_dir(&root)?;
        unpack(&blob(&manifest["layers"][0])?, &root)?;
        for name in ["emitter", "reflector", "heliograph"] {
            let program = fs::read_to_string(root.join(name))?;
            ensure!(program == format!("{name} {arch}"), "{program}");
        }
    }
    Ok(())
}

#[test]
fn a_release_has_all_its_files() -> anyhow::Result<()> {
    let (Some(helm), Some(kubectl)) = (tool::find("helm")?, tool::find("kubectl")?) else {
        return Ok(());
    };
    let (binaries, output) = (binaries()?, tempfile::tempdir()?);
    let made = Command::new(path(".ci/release"))
        .arg(env!("CARGO_PKG_VERSION"))
        .arg(output.path())
        .env("BINARIES", binaries.path())
        .env("HELM", helm)
        .env("KUBECTL", kubectl)
        .env("SBOM", "no")
        .output()?;
    let error = String::from_utf8_lossy(&made.stderr).into_owned();
    ensure!(made.status.success(), "{error}");
    let sums = fs::read_to_string(output.path().join("SHA256SUMS"))?;
    let files: BTreeMap<_, _> = sums
        .lines()
        .filter_map(|it| it.split_once("  "))
        .map(|it| (it.1, it.0))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    for name in [
        format!("heliograph-{version}-linux-amd64.tar.gz"),
        format!("heliograph-{version}-linux-arm64.tar.gz"),
        format!("heliograph-cli-{version}-linux-amd64.tar.gz"),
        format!("heliograph-cli-{version}-linux-arm64.tar.gz"),
        format!("heliograph-{version}.tgz"),
        "heliograph-image.tar".to_owned(),
        "image-digest.txt".to_owned(),
        "heliograph.yaml".to_owned(),
        "install-emitter.yaml".to_owned(),
        "install-reflector.yaml".to_owned(),
        "notes.md".to_owned(),
    ] {
        ensure!(files.contains_key(name.as_str()), "no {name} in {files:?}");
    }
    let krew = fs::read_to_string(output.path().join("heliograph.yaml"))?;
    let krew: Value = serde_saphyr::from_str(&krew)?;
    ensure!(krew["spec"]["version"] == format!("v{version}"), "{krew}");
    for (i, arch) in ["amd64", "arm64"].into_iter().enumerate() {
        let platform = &krew["spec"]["platforms"][i];
        let archive = format!("heliograph-cli-{version}-linux-{arch}.tar.gz");
        ensure!(
            platform["selector"]["matchLabels"]["arch"] == arch,
            "{krew}"
        );
        ensure!(platform["sha256"] == files[archive.as_str()], "{krew}");
        let uri = platform["uri"].as_str().unwrap_or_default();
        ensure!(uri.ends_with(&format!("/v{version}/{archive}")), "{krew}");
    }
    let notes = fs::read_to_string(output.path().join("notes.md"))?;
    ensure!(notes.contains("### Added"), "{notes}");
    Ok(())
}
