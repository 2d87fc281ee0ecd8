use std::sync::Arc;
use std::time::Duration;

use proto_types::ResourceVersion;

use super::*;
use crate::attributes::Target;

/// Lets in everybody.
pub(crate) fn open_to_all(metrics: &Arc<Metrics>) -> Arc<Access> {
    let settings = Settings {
        anonymous: true,
        ..Settings::default()
    };
    open(settings, metrics).unwrap()
}

fn open(settings: Settings, metrics: &Arc<Metrics>) -> Result<Arc<Access>, Error> {
    runtime::client::install_crypto();
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let (cache, _) = crate::watch_cache::tests::cache_and_view();
    Access::open(Parts {
        settings,
        certificates: None,
        client: kube::Client::try_from(nowhere).unwrap(),
        owners: Arc::default(),
        caches: vec![Arc::new(cache)],
        metrics: Arc::clone(metrics),
    })
}

struct Lab {
    access: Arc<Access>,
    directory: tempfile::TempDir,
}

const POLICY: &str = "consumers: [{name: west, users: [west], selector: a=b}]";

impl Lab {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let mut settings = Settings {
            tokens: file("tokens", "t-west,west,1\nt-east,east,2\n"),
            policy: file("policy", POLICY),
            ..Settings::default()
        };
        change(&mut settings);
        let access = open(settings, &Arc::new(Metrics::default())).unwrap();
        Self { access, directory }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    async fn right(&self, token: &str, attributes: Attributes) -> Result<AccessDecision, Denied> {
        let credentials = Credentials {
            token: Some(token.to_owned()).filter(|it| !it.is_empty()),
            ..Credentials::default()
        };
        self.access.right(credentials, attributes).await
    }

    async fn refusal(&self, token: &str, attributes: Attributes) -> (u16, String) {
        match self.right(token, attributes).await {
            Err(Denied::Refused(status)) => (status.code, status.message),
            other => unreachable!("{other:?}"),
        }
    }
}

fn to(verb: &str, resource: &str) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        path: String::new(),
        target: Some(Target {
            version: "v1".to_owned(),
            namespace: "demo".to_owned(),
            resource: resource.to_owned(),
            ..Target::default()
        }),
    }
}

fn path(path: &str) -> Attributes {
    Attributes {
        verb: "get".to_owned(),
        path: path.to_owned(),
        target: None,
    }
}

#[tokio::test]
async fn an_authenticated_client_reads_its_view_and_others_nothing() {
    let lab = Lab::new(|_| {});
    let right = lab.right("t-west", to("list", "services")).await.unwrap();
    assert_eq!((right.user.name.as_str(), &*right.view), ("west", "west"));
    assert_eq!(right.grant.rules().labels, "a=b".parse().unwrap());
    let words = "services is forbidden: User \"east\" cannot list resource \"services\" \
                 in API group \"\" in the namespace \"demo\"";
    let (code, message) = lab.refusal("t-east", to("list", "services")).await;
    assert_eq!((code, message.as_str()), (403, words));
    let unknown = (401, "Unauthorized".to_owned());
    assert_eq!(
        lab.refusal("t-north", to("list", "services")).await,
        unknown
    );
    assert_eq!(lab.refusal("", to("list", "services")).await, unknown);
    assert_eq!(lab.refusal("", path("/version")).await, unknown);
    let mut text = String::new();
    let mut registry = prometheus_client::registry::Registry::default();
    lab.access.parts.metrics.register_all(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for (method, reason, n) in [("token", "UnknownToken", 1), ("none", "NoCredentials", 2)] {
        let line = format!("{{method=\"{method}\",result=\"failure\",reason=\"{reason}\"}} {n}");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[tokio::test]
async fn a_consumer_reads_what_is_served_and_does_nothing_else() {
    let lab = Lab::new(|_| {});
    for (verb, resource) in [("delete", "services"), ("list", "secrets"), ("get", "pods")] {
        let (code, message) = lab.refusal("t-west", to(verb, resource)).await;
        assert!(
            code == 403 && message.contains(verb),
            "{verb} {resource}: {message}"
        );
    }
    assert!(lab.right("t-west", path("/version")).await.is_ok());
    assert!(lab.right("t-east", path("/openapi/v3")).await.is_ok());
    let (_, message) = lab.refusal("t-west", path("/metrics")).await;
    assert_eq!(
        message,
        "forbidden: User \"west\" cannot get path \"/metrics\""
    );
    let mut identity = to("get", "namespaces");
    identity.target.as_mut().unwrap().name = "kube-system".to_owned();
    assert!(lab.right("t-east", identity).await.is_ok());
}

#[tokio::test]
async fn a_wrong_token_is_refused_also_where_anybody_may_come() {
    let lab = Lab::new(|settings| {
        settings.anonymous = true;
        settings.policy = None;
    });
    let right = lab.right("", to("list", "services")).await.unwrap();
    assert!(right.user.is_anonymous());
    assert_eq!(lab.refusal("wrong", to("list", "services")).await.0, 401);
    let lab = Lab::new(|settings| {
        settings.anonymous = true;
        settings.policy = None;
        settings.tokens = None;
    });
    // Nobody reads tokens there.
    assert!(lab.right("wrong", to("list", "services")).await.is_ok());
}

#[tokio::test]
async fn no_client_is_admitted_while_the_api_server_is_unavailable() {
    let lab = Lab::new(|settings| {
        settings.delegate_authentication = true;
        settings.delegate_authorization = true;
    });
    assert_eq!(lab.refusal("unknown", to("list", "services")).await.0, 401);
    let failed = lab.right("t-east", to("list", "services")).await;
    assert!(matches!(failed, Err(Denied::Failed(_))), "{failed:?}");
    assert!(lab.right("t-west", to("list", "services")).await.is_ok());
}

#[tokio::test]
async fn changed_files_change_rights_and_bad_ones_do_not() {
    let lab = Lab::new(|_| {});
    let west = lab.right("t-west", to("watch", "services")).await.unwrap();
    assert!(lab.access.still_holds(&west).await);
    lab.write("policy", "consumers: oops");
    assert!(lab.access.reload_policy().is_err());
    assert!(lab.access.still_holds(&west).await);
    // Somebody else is let in, which does not concern this one.
    lab.write(
        "policy",
        &POLICY.replace("}]", "}, {name: east, users: [east]}]"),
    );
    lab.access.reload_policy().unwrap();
    assert!(lab.access.still_holds(&west).await);
    assert!(lab.right("t-east", to("list", "services")).await.is_ok());
    lab.write("policy", &POLICY.replace("a=b", "a=c"));
    lab.access.reload_policy().unwrap();
    assert!(!lab.access.still_holds(&west).await);
    lab.write("tokens", "t-new,west,1\n");
    let east = lab.right("t-west", to("list", "services")).await.unwrap();
    lab.access.reload_tokens().unwrap();
    assert!(!lab.access.still_holds(&east).await);
    assert_eq!(lab.refusal("t-west", to("list", "services")).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_away_while_its_view_changed_lists_again() {
    let lab = Lab::new(|_| {});
    let cache = &lab.access.parts.caches[0];
    let tell = |revision: u64| {
        let listing =
            runtime::watcher::Listing::confirmed(ResourceVersion::new(revision), Vec::new());
        cache.ingest(
            runtime::watcher::Event::Listed(listing),
            jiff::Timestamp::now(),
        );
    };
    let admits = async |token: &str, revision: u64| {
        let right = lab.right(token, to("watch", "services")).await.unwrap();
        right.floor.admit(ResourceVersion::new(revision)).is_ok()
    };
    let list = async |token: &str, verb: &str, revision: u64| {
        let right = lab.right(token, to(verb, "services")).await.unwrap();
        right.floor.record(ResourceVersion::new(revision));
    };
    let all_reloaded = async || tokio::time::sleep(Duration::from_secs(121)).await;
    tell(100);
    // The configuration before the start is not known, and other replicas may have it still.
    assert!(!admits("t-west", 100).await && !admits("t-west", 500).await);
    list("t-west", "list", 100).await;
    assert!(admits("t-west", 100).await && !admits("t-west", 99).await);
    all_reloaded().await;
    assert!(admits("t-west", 101).await && !admits("t-west", 99).await);
    let both = "consumers: [{name: west, users: [west], selector: S}, {name: east, users: [east]}]";
    lab.write("policy", &both.replace('S', "a=c"));
    lab.access.reload_policy().unwrap();
    for who in ["t-west", "t-east"] {
        assert!(!admits(who, 100).await && !admits(who, 101).await, "{who}");
    }
    list("t-west", "list", 100).await;
    assert!(admits("t-west", 100).await && !admits("t-east", 100).await);
    tell(200);
    all_reloaded().await;
    assert!(!admits("t-east", 200).await && admits("t-east", 201).await);
    // Twice at one resource version: what was listed between the two says nothing.
    lab.write("policy", &both.replace('S', "a=d"));
    lab.access.reload_policy().unwrap();
    list("t-west", "list", 200).await;
    assert!(admits("t-west", 200).await);
    lab.write("policy", &both.replace('S', "a=e"));
    lab.access.reload_policy().unwrap();
    assert!(!admits("t-west", 200).await);
    // Whose view did not change is not concerned.
    assert!(admits("t-east", 201).await);
    // After the restore of a backup, resource versions begin again, and so do the rules.
    all_reloaded().await;
    assert!(!admits("t-west", 200).await);
    tell(50);
    assert!(admits("t-west", 50).await);
}

#[tokio::test]
async fn a_right_of_before_a_reload_is_not_current() {
    let lab = Lab::new(|_| {});
    let right = lab.right("t-west", to("watch", "services")).await.unwrap();
    assert!(right.is_current());
    lab.access.reload_policy().unwrap();
    assert!(!right.is_current());
    let right = lab.right("t-west", to("watch", "services")).await.unwrap();
    assert!(right.is_current());
    lab.access.certificates_changed();
    assert!(!right.is_current());
}
