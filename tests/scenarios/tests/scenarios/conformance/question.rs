//! What is asked: every item of the contract that one request can show.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use proto_types::{Resource, ResourceVersion};

use super::odd;
use super::world::World;
use crate::lab::EXPORT;

/// One request, and the name under which it is reported.
pub(super) struct Question {
    pub(super) item: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
pub(super) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
pub(super) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub(super) const PROTOBUF_METADATA: &str =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Queries of a collection in one namespace. `BEFORE` is a resource version before the changes,
/// `LAST` one after them, `TOKEN` a page's end at `LAST`.
const LISTS: &str = "
limit=2 limit=0 limit=-1 limit=+3 limit=abc limit= limit=99999999999999999999 limit=1&limit=2
resourceVersion=0 resourceVersion=0&limit=1 resourceVersion=abc resourceVersion=-1 resourceVersion=
resourceVersion=LAST resourceVersion=LAST&limit=1
resourceVersion=LAST&resourceVersionMatch=Exact resourceVersion=LAST&resourceVersionMatch=NotOlderThan&limit=1
resourceVersion=BEFORE&resourceVersionMatch=Exact resourceVersion=BEFORE&resourceVersionMatch=NotOlderThan
resourceVersion=BEFORE&limit=2 resourceVersion=0&resourceVersionMatch=NotOlderThan
resourceVersion=999999999 resourceVersion=999999999&resourceVersionMatch=Exact
resourceVersion=999999999&limit=1
resourceVersionMatch=Exact resourceVersionMatch=Foo resourceVersion=1&resourceVersionMatch=Foo
resourceVersion=0&resourceVersionMatch=Exact sendInitialEvents=true sendInitialEvents=false
sendInitialEvents=true&resourceVersionMatch=NotOlderThan
continue=TOKEN continue=TOKEN&limit=1 continue=TOKEN&limit=1&labelSelector=SELECTOR
continue=TOKEN&resourceVersion=0 continue=TOKEN&resourceVersion=5 continue=TOKEN&resourceVersionMatch=Exact
continue=INCONSISTENT continue=FOREIGN continue=abc continue=%25 continue=e30
labelSelector=SELECTOR labelSelector=SELECTOR&limit=1 labelSelector=%20 labelSelector=nope;foo=1
labelSelector=round%3Dr1 labelSelector=round labelSelector=!round labelSelector=round+in+(r0,r1)
labelSelector=round+notin+(r0) labelSelector=a+in+() labelSelector=a%3D%3Db%3D%3Dc labelSelector=a+in+b
labelSelector=x%2F%3D1 labelSelector=a%3D- labelSelector=%3Db labelSelector=a%3Eb labelSelector=a%20b
fieldSelector=metadata.name%3Dweb fieldSelector=metadata.name!%3Dweb fieldSelector=metadata.name%3D%3Dweb&limit=1
fieldSelector=metadata.name%3Dx,metadata.name%3Dy fieldSelector=metadata.namespace%3Ddemo&limit=1
fieldSelector=metadata.namespace%3Dother fieldSelector=spec.type%3DNodePort fieldSelector=spec.clusterIP%3DNone
fieldSelector=foo%3Dbar fieldSelector=x fieldSelector=metadata.labels%3Dx fieldSelector=status.phase%3DActive
pretty=true pretty=1 pretty= pretty=x pretty=0 pretty=true&limit=1 pretty=true&resourceVersion=abc
timeout=xyz timeout=5 timeout=0 timeout=-1s timeout=1h timeout=xyz&limit=abc timeoutSeconds=abc
watch=0 watch=false watch=FALSE unknown=1 allowWatchBookmarks=1 shardSelector=x includeObject=x export=1
";

/// Queries of a watch, which all begin with `watch=1` and end after a second.
const WATCHES: &str = "
allowWatchBookmarks=1 resourceVersion=0 resourceVersion=0&allowWatchBookmarks=1
resourceVersion=BEFORE resourceVersion=BEFORE&allowWatchBookmarks=1 resourceVersion=LAST
resourceVersion=BEFORE&labelSelector=round%3Dr1 resourceVersion=BEFORE&labelSelector=SELECTOR
resourceVersion=BEFORE&fieldSelector=metadata.name%3Dweb resourceVersion=BEFORE&labelSelector=!round
resourceVersion=BEFORE&fieldSelector=spec.type%3DNodePort resourceVersion=BEFORE&limit=1
resourceVersion=1 resourceVersion=1&allowWatchBookmarks=1 resourceVersion=abc resourceVersion=999999999
sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1
sendInitialEvents=true&resourceVersionMatch=NotOlderThan
sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1&resourceVersion=BEFORE
sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0
sendInitialEvents=false&resourceVersionMatch=NotOlderThan
sendInitialEvents=true resourceVersionMatch=Exact resourceVersionMatch=Foo resourceVersionMatch=NotOlderThan
sendInitialEvents=true&resourceVersionMatch=Exact sendInitialEvents=true&resourceVersionMatch=Foo
continue=x continue=x&resourceVersion=5 continue=x&resourceVersionMatch=NotOlderThan limit=1 limit=abc
timeout=xyz pretty=true fieldSelector=x fieldSelector=foo%3Dbar labelSelector=a+in+b watch=0
fieldSelector=metadata.name%3Dweb fieldSelector=metadata.name%3Dx,metadata.name%3Dy timeoutSeconds=abc
";

/// Paths that are not of one resource, or are no paths at all.
const PATHS: &str = "
/api /api/ /apis /api/v1 /apis/discovery.k8s.io /apis/discovery.k8s.io/v1 /version /
/api/v1/foos /api/v1/namespaces/demo/foos /apis/foo /foo /apis/discovery.k8s.io/v2
/openapi/v3/api/v1 /api/v1/namespaces/demo/services/web/status
/healthz /livez /readyz /healthz/ping
";

/// All questions.
pub(super) fn all(world: &World) -> Vec<Question> {
    let paths = PATHS
        .split_whitespace()
        .chain(odd::PATHS.split_whitespace());
    let mut all: Vec<Question> = paths
        .map(|path| {
            let asked = path.replace("SELECTOR", &format!("{EXPORT}%3Dtrue"));
            get(format!("GET {path}"), asked)
        })
        .collect();
    for path in ["/api", "/apis"] {
        let aggregated = get(format!("GET {path} aggregated"), path.to_owned());
        all.push(aggregated.accept(AGGREGATED));
    }
    for (i, resource) in Resource::ALL.into_iter().enumerate() {
        let (before, last) = (world.before[i], world.last[i]);
        of_collection(resource, &fill(before, last), &mut all);
        of_objects(resource, &mut all);
    }
    all
}

fn of_collection(resource: Resource, fill: &impl Fn(&str) -> String, all: &mut Vec<Question>) {
    let path = resource.collection(Some("demo"));
    let name = resource.plural();
    let watch = "watch=1&timeoutSeconds=1";
    let lists = LISTS
        .split_whitespace()
        .chain(odd::LISTS.split_whitespace());
    for query in lists {
        let asked = format!("{path}?{}", fill(query));
        all.push(get(format!("{name} list {query}"), asked));
    }
    for query in WATCHES.split_whitespace() {
        let asked = format!("{path}?{watch}&{}", fill(query));
        all.push(get(format!("{name} watch {query}"), asked));
    }
    for query in odd::WATCHES.split_whitespace() {
        let asked = format!("{path}?watch=1&{}", fill(query));
        all.push(get(format!("{name} watch {query}"), asked));
    }
    for flag in ["watch", "watch=", "watch=True", "watch=2"] {
        let asked = format!("{path}?{flag}&timeoutSeconds=1&resourceVersion=LAST");
        all.push(get(format!("{name} list {flag}"), fill(&asked)));
    }
    // Longer than what a server waits for a resource version, or it would just end.
    let late = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1";
    let asked = format!("{path}?watch=1&timeoutSeconds=8&resourceVersion=999999999&{late}");
    all.push(get(format!("{name} watch from the future"), asked));
    for accept in odd::ACCEPTS {
        let listed = get(format!("{name} list [{accept}]"), path.clone());
        all.push(listed.accept(accept));
        let one = format!("{path}?fieldSelector=metadata.name%3Dmanual");
        let one = get(format!("{name} list one [{accept}]"), one);
        all.push(one.accept(accept));
        let watched = format!("{path}?{watch}&allowWatchBookmarks=1");
        let watched = get(format!("{name} watch [{accept}]"), watched);
        all.push(watched.accept(accept));
    }
    for accept in [PROTOBUF, PROTOBUF_METADATA, METADATA, TABLE] {
        for query in IN_OTHER_ENCODINGS.split_whitespace() {
            let asked = format!("{path}?{}", fill(query));
            all.push(get(format!("{name} {query} [{accept}]"), asked).accept(accept));
        }
    }
    of_headers(resource, all);
    of_paths(resource, all);
}

/// What is asked in protobuf, and for metadata alone.
const IN_OTHER_ENCODINGS: &str = "
limit=2 limit=abc resourceVersion=LAST&resourceVersionMatch=Exact labelSelector=a+in+b continue=e30
resourceVersionMatch=Exact labelSelector=nothing%3Dhere pretty=1
watch=1&timeoutSeconds=1&resourceVersion=BEFORE&labelSelector=SELECTOR
watch=1&timeoutSeconds=1&resourceVersion=BEFORE&fieldSelector=metadata.name%3Dweb
watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1
watch=1&timeoutSeconds=1&resourceVersion=abc watch=1&timeoutSeconds=1&pretty=1
";

fn of_headers(resource: Resource, all: &mut Vec<Question>) {
    let path = resource.collection(Some("demo"));
    let name = resource.plural();
    let watch = "watch=1&timeoutSeconds=1";
    for include in ["None", "Metadata", "Object", "x", ""] {
        for (verb, query) in [("list", "limit=500"), ("watch", watch)] {
            let asked = format!("{path}?{query}&includeObject={include}&allowWatchBookmarks=1");
            let asked = get(
                format!("{name} {verb} includeObject={include} [table]"),
                asked,
            );
            all.push(asked.accept(TABLE));
        }
    }
    for encoding in odd::ENCODINGS {
        for query in ["", "?limit=1"] {
            let asked = get(
                format!("{name} list{query} in {encoding}"),
                format!("{path}{query}"),
            );
            all.push(asked.header("accept-encoding", encoding));
        }
    }
    // Compressed watches are for who asks for them by their names.
    for encoding in ["identity", "br, deflate, zstd", "*"] {
        let asked = get(
            format!("{name} watch in {encoding}"),
            format!("{path}?{watch}"),
        );
        all.push(asked.header("accept-encoding", encoding));
    }
    for agent in [
        "curl/8.0",
        "Wget/1",
        "Mozilla/5.0 x",
        "kubectl/v1",
        "CURL/8",
        "x curl/8",
        "curl",
    ] {
        for query in [
            "limit=1",
            "limit=1&pretty=",
            "limit=1&pretty=false",
            "limit=1&pretty=x",
            "limit=abc",
            "watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dmanual",
        ] {
            let asked = format!("{path}?{query}");
            let asked = get(format!("{name} list {query} for {agent}"), asked);
            all.push(asked.header("user-agent", agent));
        }
    }
}

fn of_paths(resource: Resource, all: &mut Vec<Question>) {
    let name = resource.plural();
    let root = resource.root();
    let selected = format!("labelSelector={EXPORT}%3Dtrue");
    for (title, path) in [
        ("everywhere", format!("{root}/{name}?{selected}")),
        ("everywhere/", format!("{root}/{name}/?{selected}")),
        (
            "everywhere, one page",
            format!("{root}/{name}?{selected}&limit=1"),
        ),
        ("nowhere", format!("{root}/namespaces/nowhere/{name}")),
        (
            "old watch",
            format!("{root}/watch/{name}?{selected}&timeoutSeconds=1"),
        ),
        (
            "old watch in demo",
            format!("{root}/watch/namespaces/demo/{name}?timeoutSeconds=1"),
        ),
        (
            "old watch of one",
            format!("{root}/watch/namespaces/demo/{name}/manual?timeoutSeconds=1"),
        ),
        (
            "old watch of another",
            format!(
                "{root}/watch/namespaces/demo/{name}/manual?timeoutSeconds=1&fieldSelector=metadata.name%3Dx"
            ),
        ),
        (
            "narrowed",
            format!("{root}/{name}?{selected}&fieldSelector=metadata.namespace%3Ddemo&limit=1"),
        ),
    ] {
        all.push(get(format!("{name} list {title}"), path));
    }
    for accept in [TABLE, METADATA_LIST, "application/yaml"] {
        let empty = format!("{root}/namespaces/nowhere/{name}");
        all.push(get(format!("{name} list nowhere [{accept}]"), empty).accept(accept));
    }
    for method in [Method::HEAD, Method::OPTIONS, Method::TRACE, Method::POST] {
        let collection = resource.collection(Some("demo"));
        for path in [collection.clone(), format!("{collection}/manual")] {
            let mut question = get(format!("{method} {path}"), path);
            question.method = method.clone();
            all.push(question);
        }
    }
}

fn of_objects(resource: Resource, all: &mut Vec<Question>) {
    let collection = resource.collection(Some("demo"));
    let name = resource.plural();
    let object = match resource {
        Resource::EndpointSlices => "manual-1",
        Resource::Services | Resource::Endpoints => "manual",
    };
    for query in
        "resourceVersion=0 resourceVersion=1 resourceVersion=abc resourceVersion=999999999 \
        resourceVersion=00 resourceVersion=%2B5 resourceVersion=99999999999999999999 resourceVersion=%zz \
        watch=1 export=1 export=0 pretty=1 pretty= pretty=true timeout=xyz timeout=1d fieldSelector=metadata.name%3Dx \
        fieldSelector=x labelSelector=a+in+b limit=abc unknown=1 resourceVersion="
            .split_whitespace()
    {
        let path = format!("{collection}/{object}?{query}");
        all.push(get(format!("{name} get {query}"), path));
    }
    all.push(get(format!("{name} get"), format!("{collection}/{object}")));
    all.push(get(
        format!("{name} get/"),
        format!("{collection}/{object}/"),
    ));
    all.push(get(
        format!("{name} get nothing"),
        format!("{collection}/nope"),
    ));
    for accept in odd::ACCEPTS {
        let one = get(
            format!("{name} get [{accept}]"),
            format!("{collection}/{object}"),
        );
        all.push(one.accept(accept));
        let nothing = get(
            format!("{name} get nothing [{accept}]"),
            format!("{collection}/nope"),
        );
        all.push(nothing.accept(accept));
    }
}

fn get(item: String, path: String) -> Question {
    Question {
        item,
        method: Method::GET,
        path,
        headers: Vec::new(),
    }
}

impl Question {
    fn accept(self, accept: &str) -> Self {
        self.header("accept", accept)
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// Puts what only a run knows into a query.
fn fill(before: ResourceVersion, last: ResourceVersion) -> impl Fn(&str) -> String {
    let token = |rv: &str, start: &str| {
        let json = format!(r#"{{"v":"meta.k8s.io/v1","rv":{rv},"start":"{start}\u0000"}}"#);
        URL_SAFE_NO_PAD.encode(json)
    };
    move |query| {
        query
            .replace("INCONSISTENT", &token("-1", "/headless"))
            .replace("FOREIGN", &token(&last.to_string(), "headless"))
            .replace("TOKEN", &token(&last.to_string(), "/headless"))
            .replace("BEFORE", &before.to_string())
            .replace("LAST", &last.to_string())
            .replace("SELECTOR", &format!("{EXPORT}%3Dtrue"))
    }
}

/// What a continue token says.
pub(super) fn decode(token: &str) -> String {
    let json = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    String::from_utf8_lossy(&json).into_owned()
}
