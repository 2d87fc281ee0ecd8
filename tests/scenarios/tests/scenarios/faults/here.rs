//! The local API server turns writes away, loses races and ends, and the reflector is
//! killed at its work: for real, as far as that can be made.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};
use embedded_cluster::{Fault, Verb};
use tokio::time::Instant;

use super::real::{deleted, restarts_without_a_write};
use crate::embedded::{World, set_service};
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, mirror, program};
use crate::old_rbac::{account, mirror_rules};
use crate::plan_command::plan;
use crate::rbac::kubeconfig_of;

const REFLECTOR: &str = "reflector";

/// Services that are there all the time.
const N_SERVICES: usize = 6;

/// More than are written at once.
const N_THROTTLED: usize = 120;

/// Writes by the reflector that exceed what it may ask for at once: all of them.
const THROTTLE: &str = r#"
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: nothing}
spec:
  type: Limited
  limited:
    nominalConcurrencyShares: 0
    lendablePercent: 0
    borrowingLimitPercent: 0
    limitResponse: {type: Reject}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: nothing}
spec:
  matchingPrecedence: 50
  priorityLevelConfiguration: {name: nothing}
  rules:
  - subjects:
    - kind: ServiceAccount
      serviceAccount: {name: reflector, namespace: mirrors}
    resourceRules:
    - apiGroups: ["*"]
      resources: ["services", "endpointslices"]
      namespaces: ["*"]
      verbs: ["create", "update", "delete"]
"#;

/// No Service may be changed, nor created.
const REFUSE: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: freeze}
spec:
  matchConstraints:
    resourceRules:
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["services"]
      operations: ["CREATE", "UPDATE"]
  validations:
  - expression: "false"
    message: nothing changes before Monday
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: freeze}
spec: {policyName: freeze, validationActions: [Deny]}
"#;

/// Two clusters, and a reflector with an account of its own.
struct Here {
    east: Cluster,
    local: Cluster,
    reflector: Program,
    source: String,
    _keeper: Keeper,
}

impl Here {
    async fn new(lab: &Lab) -> anyhow::Result<Self> {
        let (east, local) = lab.clusters().await?;
        let verbs = ["get", "list", "watch", "create", "update", "delete"];
        let account = account(REFLECTOR, MIRRORS, "ClusterRole", &mirror_rules(&verbs));
        local.plane.kubectl().apply(&account).await?;
        let keeper = Keeper::new("here")?;
        let kubeconfig = kubeconfig_of(&local, MIRRORS, REFLECTOR, &keeper).await?;
        let there = east.plane.kubeconfig().display().to_string();
        let source = format!("name=east,kubeconfig={there},prefix=east,selector={EXPORT}=true");
        for i in 0..N_SERVICES {
            east.create_service(&format!("svc-{i}")).await?;
        }
        let mut command = Command::new(program("reflector")?);
        command.args(["--mirror-namespace", MIRRORS, "--source", &source]);
        command.arg("--kubeconfig").arg(kubeconfig);
        let reflector = lab.start("reflector", command, None)?;
        reflector.ready().await?;
        let it = Self {
            east,
            local,
            reflector,
            source,
            _keeper: keeper,
        };
        it.change(0).await?;
        it.converges(0).await?;
        Ok(it)
    }

    /// Everything at the source changes; one Service comes and goes.
    async fn change(&self, round: usize) -> anyhow::Result<()> {
        for i in 0..N_SERVICES {
            let name = format!("svc-{i}");
            let port = 1000 + round;
            let ports = format!(r#"{{"spec":{{"ports":[{{"name":"http","port":{port}}}]}}}}"#);
            self.east
                .patch_service(&format!("demo/{name}"), &ports)
                .await?;
            let address = format!("10.3.{round}.{i}");
            self.east.set_endpoints(&name, &[&address]).await?;
        }
        match round % 2 {
            0 => self.east.create_service("come").await,
            _ => self.east.delete_service("demo/come").await,
        }
    }

    /// Waits until what is here is what that round made.
    async fn converges(&self, round: usize) -> anyhow::Result<()> {
        for i in 0..N_SERVICES {
            let key = mirror("east", &format!("svc-{i}"));
            let address = format!("10.3.{round}.{i}");
            self.local.eventually_has(&key, &[&address]).await?;
            eventually("the mirror has the port", async || {
                let service = self.local.service(&key).await?.context("it is there")?;
                let port = &service["spec"]["ports"][0]["port"];
                ensure!(*port == 1000 + round, "{port}");
                Ok(())
            })
            .await?;
        }
        let come = mirror("east", "come");
        match round % 2 {
            0 => self.local.eventually_has(&come, &[]).await?,
            _ => self.local.eventually_lacks(&come).await?,
        }
        let kubeconfig = self.local.plane.kubeconfig();
        let (code, plan) = plan(&kubeconfig, &["--source", &self.source]).await?;
        ensure!(code == Some(0), "there is something left to do: {plan}");
        let deleted = deleted(&self.local)?;
        ensure!(deleted.is_subset(&BTreeSet::from([come])), "{deleted:?}");
        Ok(())
    }

    /// How many of its writes were answered so.
    fn n_answered(&self, code: u16) -> anyhow::Result<usize> {
        let events = self.local.plane.audit_events()?;
        let its = events
            .iter()
            .filter(|it| it.is_write() && it.user.ends_with(REFLECTOR) && it.code == code);
        Ok(its.count())
    }

    /// Waits until no Service can be created. Policies and quotas are known a while after
    /// they are made.
    async fn takes_no_service(&self) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{MIRRORS}/services?dryRun=All");
        let service = r#"{"metadata":{"name":"try"},"spec":{"ports":[{"port":80}]}}"#;
        eventually("no Service can be created", async || {
            ensure!(self.local.post(&path, service).await.is_err());
            Ok(())
        })
        .await
    }

    async fn says(&self, words: &str) -> anyhow::Result<()> {
        eventually(&format!("the status says {words:?}"), async || {
            let status = self.reflector.status().await?.to_string();
            ensure!(status.contains(words), "{status}");
            Ok(())
        })
        .await
    }
}

pub(crate) async fn a_real_api_server_may_turn_writes_away(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let here = Here::new(&lab).await?;
    let kubectl = here.local.plane.kubectl();

    kubectl.apply(THROTTLE).await?;
    let mut round = 1;
    here.change(round).await?;
    eventually("it is throttled", async || {
        // It takes a while until the limit is known.
        here.east.set_endpoints("svc-0", &["10.9.9.9"]).await?;
        here.east.set_endpoints("svc-0", &["10.9.9.8"]).await?;
        ensure!(0 < here.n_answered(429)?);
        Ok(())
    })
    .await?;
    ensure!(here.reflector.log().contains("takes no writes"));
    kubectl.run(["delete", "flowschema", "nothing"]).await?;
    here.east.set_endpoints("svc-0", &["10.3.1.0"]).await?;
    here.converges(round).await?;

    kubectl.apply(REFUSE).await?;
    here.takes_no_service().await?;
    round += 1;
    here.change(round).await?;
    here.says("nothing changes before Monday").await?;
    // What the policy says nothing of goes on.
    let address = format!("10.3.{round}.1");
    let svc_1 = mirror("east", "svc-1");
    here.local.eventually_has(&svc_1, &[&address]).await?;
    let binding = "validatingadmissionpolicybinding";
    kubectl.run(["delete", binding, "freeze"]).await?;
    here.converges(round).await?;

    round += 1;
    here.change(round).await?;
    here.converges(round).await?;
    let quota = ["create", "quota", "few", "-n", MIRRORS];
    let quota = quota.into_iter().chain(["--hard=services=6"]);
    kubectl.run(quota).await?;
    // Nobody counts here but the API server, which goes on from what it is told.
    let counted = r#"{"status":{"hard":{"services":"6"},"used":{"services":"6"}}}"#;
    let path = format!("/api/v1/namespaces/{MIRRORS}/resourcequotas/few/status");
    here.local.patch(&path, counted).await?;
    here.takes_no_service().await?;
    round += 1;
    here.change(round).await?;
    here.says("exceeded quota").await?;
    kubectl
        .run(["delete", "quota", "few", "-n", MIRRORS])
        .await?;
    here.converges(round).await?;
    restarts_without_a_write(&here.local, &here.reflector).await
}

pub(crate) async fn races_ends_and_kills_lose_nothing_on_a_real_api_server(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const ROUNDS: usize = 12;
    let lab = Lab::new(scene)?;
    let here = Here::new(&lab).await?;
    let mut conflicts = 0;
    for round in 1..=ROUNDS {
        let before = here.local.mirror_writes()?;
        here.change(round).await?;
        match round % 3 {
            0 => {
                eventually("it has begun to write", async || {
                    ensure!(before + round / 3 <= here.local.mirror_writes()?);
                    Ok(())
                })
                .await?;
                here.reflector.kill().await?;
                here.reflector.start().await?;
            }
            1 => conflicts += meddle(&here, round).await?,
            _ => {
                here.local.plane.kill_apiserver().await?;
                here.local.plane.start_apiserver().await?;
            }
        }
        let converged = here.converges(round).await;
        converged.with_context(|| format!("round {round}"))?;
    }
    ensure!(0 < conflicts, "no race was lost");
    restarts_without_a_write(&here.local, &here.reflector).await
}

/// Somebody else writes the same objects all the time; how many races were lost to it.
async fn meddle(here: &Here, round: usize) -> anyhow::Result<usize> {
    const TRIES: usize = 150;
    let before = here.n_answered(409)?;
    for i in 0..TRIES {
        let name = format!("svc-{}", i % N_SERVICES);
        let patch = format!(r#"{{"metadata":{{"annotations":{{"them":"{round}-{i}"}}}}}}"#);
        let address = format!("10.3.{round}.{}", i % N_SERVICES);
        let key = mirror("east", &name);
        // Both change at once: the source, and the mirror that has to follow it.
        let theirs = here.local.patch_service(&key, &patch);
        let ports = format!(
            r#"{{"spec":{{"ports":[{{"name":"http","port":{}}}]}}}}"#,
            1000 + round + 5000 * (i % 2)
        );
        let key = format!("demo/{name}");
        let ours = here.east.patch_service(&key, &ports);
        let addresses = [address.as_str()];
        let endpoints = here.east.set_endpoints(&name, &addresses);
        tokio::try_join!(theirs, ours, endpoints)?;
        if before < here.n_answered(409)? {
            break;
        }
    }
    for i in 0..N_SERVICES {
        let port = 1000 + round;
        let ports = format!(r#"{{"spec":{{"ports":[{{"name":"http","port":{port}}}]}}}}"#);
        let key = format!("demo/svc-{i}");
        here.east.patch_service(&key, &ports).await?;
    }
    Ok(here.n_answered(409)? - before)
}

pub(crate) async fn an_api_server_that_asks_for_quiet_has_it(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    const QUIET: Duration = Duration::from_secs(2);
    // 16 are on their way when the first of them is turned away, and one for each of seven
    // more answers: the eighth is evidence that it is not about one object.
    const AT_ONCE: usize = 16 + 7;
    let world = World::new(scene, &["east"], N_THROTTLED).await?;
    let east = world.source("east")?;
    let throttled = Fault::Answer {
        code: 429,
        retry_after: u32::try_from(QUIET.as_secs()).ok(),
    };
    let writes = [Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];
    world.local.fail(throttled.for_verbs(&writes));
    let (before, began) = (world.n_writes(), Instant::now());
    for i in 0..N_THROTTLED {
        set_service(east, &format!("svc-{i}"), 90, &["10.5.0.1"])?;
    }
    while began.elapsed() < 3 * QUIET {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let n_periods = began.elapsed().as_secs_f64() / QUIET.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let most = (n_periods as usize + 1) * AT_ONCE;
        let n_writes = world.n_writes() - before;
        ensure!(n_writes <= most, "{n_writes} writes in {n_periods} periods");
    }
    ensure!(before < world.n_writes(), "nobody tried");
    world.local.heal();
    world.converges().await?;
    world.restarts_without_a_write().await
}
