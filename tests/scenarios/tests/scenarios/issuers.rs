//! A cluster vouches for its workloads: by the keys that its API server publishes, found by
//! discovery or at their URL, while they are exchanged and while it is away.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_plane::Scene;
use serde_json::json;

use crate::access::{Asker, names, token};
use crate::lab::{Cluster, Lab, Program, eventually};

const AUDIENCE: &str = "heliograph-east";

/// The access configuration, with keys of west at one place.
fn policy(west: &Cluster, directory: &Path, place: &str, path: &str) -> String {
    let keys = json!({
        place: format!("{}{path}", west.plane.url()),
        "caFile": directory.join("west-ca.crt"),
        "tokenFile": directory.join("west-token"),
    });
    json!({
        "issuers": [{
            "issuer": "https://kubernetes.default.svc",
            "audiences": [AUDIENCE],
            "keys": keys,
            "userPrefix": "west:",
        }],
        "consumers": [{"name": "readers", "groups": ["west:system:serviceaccounts:demo"]}],
    })
    .to_string()
}

const DOCUMENT: &str = "/.well-known/openid-configuration";

async fn account(cluster: &Cluster) -> anyhow::Result<()> {
    let account = json!({"metadata": {"name": "reader"}}).to_string();
    let path = "/api/v1/namespaces/demo/serviceaccounts";
    cluster.post(path, &account).await
}

/// The status that somebody with a token gets.
async fn status(emitter: &Program, token: &str) -> anyhow::Result<u16> {
    let asker = Asker::of_emitter(&emitter.url, Some(token))?;
    Ok(asker.get("/api/v1/services").await?.0)
}

pub(crate) async fn a_cluster_vouches_for_its_workloads(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, west) = tokio::try_join!(lab.cluster("east"), lab.cluster("west"))?;
    east.create_service("web").await?;
    tokio::try_join!(account(&east), account(&west))?;
    lab.file("west-ca.crt", west.plane.authority())?;
    lab.file("west-token", &west.plane.admin_token())?;
    let by_discovery = policy(&west, lab.directory(), "discoveryUrl", DOCUMENT);
    let access = lab.file("access.json", &by_discovery)?;
    let flag = format!("--access-config={}", access.display());
    let emitter = lab.emitter(&east, &[&flag]).await?;

    let own = token(&west, "reader", AUDIENCE).await?;
    let asker = Asker::of_emitter(&emitter.url, Some(&own))?;
    let (code, list) = asker.get("/api/v1/services").await?;
    ensure!(code == 200 && names(&list) == ["web"], "{code} {list}");
    // The same issuer by its name, and another one by its key.
    let elsewhere = token(&east, "reader", AUDIENCE).await?;
    others_are_refused(&west, &emitter, &own, &elsewhere).await?;
    let rotated = keys_are_exchanged(&west, &emitter, &own).await?;

    // While the cluster is away its workloads are known, also by another configuration.
    west.plane.kill_apiserver().await?;
    let more = by_discovery.replace(AUDIENCE, &format!("{AUDIENCE}\",\"more"));
    let reloads = |file| emitter.metric("heliograph_emitter_config_reloads_total", file);
    let successful =
        |file| emitter.metric("heliograph_emitter_config_last_reload_successful", file);
    std::fs::write(&access, more)?;
    eventually("it is read", async || {
        ensure!(reloads("access").await? == 1.0);
        Ok(())
    })
    .await?;
    eventually("the failure is told", async || {
        ensure!(status(&emitter, &elsewhere).await? == 401);
        ensure!(successful("keys").await? == 0.0);
        Ok(())
    })
    .await?;
    for token in [&own, &rotated] {
        let code = status(&emitter, token).await?;
        ensure!(code == 200, "while the issuer is away: {code}");
    }
    west.plane.start_apiserver().await?;
    let by_url = policy(&west, lab.directory(), "url", "/openid/v1/jwks");
    std::fs::write(&access, by_url)?;
    eventually("keys at their URL are enough", async || {
        ensure!(reloads("access").await? == 2.0);
        ensure!(status(&emitter, &rotated).await? == 200);
        ensure!(successful("keys").await? == 1.0);
        Ok(())
    })
    .await
}

async fn others_are_refused(
    west: &Cluster,
    emitter: &Program,
    own: &str,
    elsewhere: &str,
) -> anyhow::Result<()> {
    let unsigned = {
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let claims = own.split('.').nth(1).context("a token has claims")?;
        format!("{none}.{claims}.")
    };
    let other = token(west, "reader", "https://kubernetes.default.svc").await?;
    let cut = own.rsplit_once('.').map(|(head, _)| format!("{head}.AAAA"));
    for (what, token) in [
        ("no signature", unsigned.as_str()),
        ("another audience", &other),
        ("another cluster", elsewhere),
        ("another signature", &cut.unwrap_or_default()),
        ("no token", "nonsense"),
    ] {
        let code = status(emitter, token).await?;
        ensure!(code == 401, "{what}: {code}");
    }
    Ok(())
}

/// West signs with another key, and publishes both for a while. A token by the new one.
async fn keys_are_exchanged(
    west: &Cluster,
    emitter: &Program,
    own: &str,
) -> anyhow::Result<String> {
    let file = |name: &str| west.plane.directory().join(name);
    let key = rcgen::KeyPair::generate()?;
    west.plane.stop_apiserver().await?;
    let old = std::fs::read_to_string(file("token.pub"))?;
    std::fs::write(file("token.pub"), format!("{}{old}", key.public_key_pem()))?;
    std::fs::write(file("token.key"), key.serialize_pem())?;
    west.plane.start_apiserver().await?;
    let rotated = token(west, "reader", AUDIENCE).await?;
    eventually("a key that is new is asked for", async || {
        let code = status(emitter, &rotated).await?;
        ensure!(code == 200, "{code}");
        Ok(())
    })
    .await?;
    ensure!(status(emitter, own).await? == 200, "the old one counts too");
    Ok(rotated)
}
