//! Odd queries and paths, and what is accepted.

use super::question::{METADATA, METADATA_LIST, PROTOBUF, PROTOBUF_METADATA, TABLE};

/// Queries of a collection in one namespace, with the words of `question::LISTS`.
pub(super) const LISTS: &str = "
timeoutSeconds=-5 timeoutSeconds= timeoutSeconds=1.5 timeoutSeconds=99999999999999999999
resourceVersion=00 resourceVersion=00&limit=1 resourceVersion=00&resourceVersionMatch=Exact
resourceVersion=007&resourceVersionMatch=Exact resourceVersion=%2B5 resourceVersion=%205 resourceVersion=5.0
resourceVersion=9223372036854775807 resourceVersion=9223372036854775808 resourceVersion=18446744073709551616
resourceVersion=99999999999999999999x resourceVersion=%C3%A9 resourceVersion=%22%00%0A
limit=%zz limit=%zz&limit=1 limit=%2 %zz=1&limit=1 limit=%221 limit=%C3%A9 limit=%00 limit=%E2%80%A8 limit=%C2%AD
limit=9223372036854775807 limit=9223372036854775808 limit=-9223372036854775809 limit=1e3 limit=0x1 limit=1_0
limit=99999999999999999999x limit=%F0%9F%98%80 limit=%7F limit=%20 limit=- limit=%2B limit=00001
continue=abc&resourceVersion=5 continue=abc&resourceVersion=abc continue=TOKEN&resourceVersion=abc
continue=abc&resourceVersionMatch=Foo continue=abc&limit=abc continue=&limit=1 continue=INCONSISTENT&resourceVersion=5
continue=e30&resourceVersion=5 continue=TOKEN&resourceVersion=00 continue=TOKEN&continue=abc
limit=abc&timeoutSeconds=x resourceVersionMatch=%00 includeObject=%00
resourceVersion=abc&resourceVersionMatch=Foo resourceVersion=abc&limit=abc resourceVersion=abc&labelSelector=a+in+b
labelSelector=a+in+b&fieldSelector=x labelSelector=a+in+b&limit=abc fieldSelector=x&limit=abc
labelSelector=round&labelSelector=!round resourceVersion=0&resourceVersion=abc pretty=true&pretty=false
watch=0&watch=1 limit=1&limit=abc fieldSelector=&fieldSelector=x labelSelector= fieldSelector=
Limit=1 LIMIT=abc LabelSelector=a+in+b labelselector=a+in+b Watch=1 limit[]=1 limit%20=1 =1 & &&limit=1 limit
sendInitialEvents= sendInitialEvents=x sendInitialEvents=0 allowWatchBookmarks=x allowWatchBookmarks=
timeout=5x timeout=1d timeout=.5s timeout=1.s timeout=.s timeout=%2B5s timeout=1.2.3s timeout=99999999h
timeout=1%C3%A9 timeout=%22 timeout=1h5 timeout=5s&timeout=x timeout=%20
pretty=TRUE pretty=True pretty=t pretty=yes pretty fieldSelector=metadata.name%3Dweb&pretty=1
labelSelector=a%3D%22 labelSelector=%C3%A9 labelSelector=a,,b labelSelector=,a labelSelector=a, labelSelector=!
labelSelector=a!%3Db labelSelector=a%3C1 labelSelector=a+notin+b labelSelector=a+in+(b labelSelector=a+in+(b,)
labelSelector=a+in+(,b) labelSelector=a+exists labelSelector=!a%3Db labelSelector=a%3D
fieldSelector=metadata.name fieldSelector=metadata.name%3Da%3Db fieldSelector=%3Dweb fieldSelector=metadata.name%3D
fieldSelector=metadata.name%3Dweb, fieldSelector=,metadata.name%3Dweb fieldSelector=metadata.name%3Da%5C,b
fieldSelector=metadata.name%3Da%5Cb fieldSelector=metadata.name%3C1 fieldSelector=metadata.name+in+(web)
fieldSelector=metadata.Name%3Dweb fieldSelector=metadata.uid%3Dx fieldSelector=metadata.name%3Dweb;x
";

/// Queries of watches that end by themselves. Negative time limits are not among them: an API
/// server answers them now with an error event, now with nothing.
pub(super) const WATCHES: &str = "
timeoutSeconds=9223372036854775807&resourceVersion=LAST
timeoutSeconds=1&timeoutSeconds=abc timeoutSeconds=99999999999999999999 timeoutSeconds= timeoutSeconds=1.5
timeoutSeconds=1&resourceVersion=00 timeoutSeconds=1&resourceVersion=%2B5 timeoutSeconds=1&resourceVersion=99999999999999999999
timeoutSeconds=1&resourceVersion=LAST&allowWatchBookmarks=x timeoutSeconds=1&resourceVersion=LAST&sendInitialEvents=
timeoutSeconds=1&resourceVersion=LAST&limit=%zz timeoutSeconds=1&resourceVersion=LAST&timeout=-1s
timeoutSeconds=1&resourceVersion=LAST&watch=0 timeoutSeconds=1&resourceVersion=abc&labelSelector=a+in+b
timeoutSeconds=1&resourceVersion=abc&resourceVersionMatch=Foo timeoutSeconds=1&resourceVersion=0&pretty=1
timeoutSeconds=1&resourceVersion=abc&pretty=1 timeoutSeconds=1&export=1&resourceVersion=LAST
";

/// Paths that are nearly some, or written otherwise.
pub(super) const PATHS: &str = "
//api/v1/services /api//v1/services /api/v1//services /api/v1/services//?labelSelector=SELECTOR // /api// /apis// ///api/v1
/api/v1/namespaces//services?labelSelector=SELECTOR /api/v1/namespaces//services/manual
/api/v1/namespaces/demo//services /api/v1/namespaces/demo/services//
/api/v1/namespaces/demo/services//manual /api/v1/namespaces/demo/services/manual// /api/v1/namespaces/demo/services/manual/
/api/v1/namespaces/demo/services/web%2Fx /api/v1/namespaces/demo%2Fservices /api/v1/namespaces/demo%2Fservices/manual
/api/v1/namespaces/demo/services/%6Danual /api/v1/namespaces/%64emo/services/manual /%61pi/v1/namespaces/demo/services/manual
/api/v1/namespaces/demo/services%2Fmanual /api/v1/namespaces/demo/services/manual%20 /api/v1/namespaces/demo/services/%C3%A9
/api/v1/namespaces/demo/services/%FF /api/v1/namespaces/demo/services/a%25b /api/v1/watch/namespaces/demo/services/a%25b?timeoutSeconds=1 /api/v1/namespaces/demo/services/%00 /api/v1/namespaces/demo/services/a%22b
/api/v1/namespaces/demo/services/MANUAL /api/v1/namespaces/Demo/services /api/v1/namespaces/demo/Services /API/v1/services
/api/v1/./services /api/v1/../v1/services /api/v1/namespaces/demo/services/. /api/v1/namespaces/demo/services/..
/api/v1/namespaces/demo/services/web/foo /api/v1/namespaces/demo/services/web/status/foo /api/v1/services/web
/api/v1/services?limit=1?limit=2 /api/v1/services;x=1 /api/v1/services%3Flimit=1 /api/v1/services%23
/api/v1/watch /api/v1/watch/ /api/v1/watch/foos /api/v1/watch/namespaces/demo/foos /api/v1/proxy/x /api/v1/redirect/x
/api/v9 /api/v9/ /api/v9/services /api/v1beta1 /api/v1/ /apis/ /apis/v1 /apis/discovery.k8s.io/ /apis/discovery.k8s.io/v1/
/apis/discovery.k8s.io/v9 /apis/discovery.k8s.io/v1/foos /apis/discovery.k8s.io/v1beta1 /apis/foo/v1 /apis/foo/ /apis/foo/v1/bars
/version/ /version?pretty=1 /healthz/ /livez/ /readyz/ /healthz?verbose /livez?verbose /livez/ping/ /healthz/nothing
/api?pretty=1 /api/v9?pretty=1 /foo?pretty=1 /foo/ /favicon.ico /openapi /openapi/ /openapi/v3/api/v9 /openapi/v3/ /openapi/v3/x /index.html
";

/// What is accepted, beside nothing at all.
pub(super) const ACCEPTS: [&str; 46] = [
    TABLE,
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
    METADATA,
    METADATA_LIST,
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
    "*/*",
    "application/*",
    "text/html",
    "text/html,*/*;q=0.1",
    "application/json;q=0",
    "APPLICATION/JSON",
    ",",
    ";",
    "text/*",
    "*/json",
    "application/cbor",
    "application/yaml",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
    PROTOBUF,
    PROTOBUF_METADATA,
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=x",
    "application/yaml,application/json",
    "application/yaml;as=Table;v=v1;g=meta.k8s.io",
    "application/yaml;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;stream=watch",
    "application/*;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,*/*;q=0.5",
    "*/*;q=0",
    "application/json;q=0,application/yaml",
    "application/json;q=0.0,application/yaml;q=0.1",
    "application/json;q=abc",
    "application/json;q=2",
    "application/json; charset=utf-8",
    "application/json;foo=bar",
    "application/json;pretty=1",
    "application/json;pretty=0",
    "application/json;as=Table;g=meta.k8s.io",
    "application/json;as=Foo;g=meta.k8s.io;v=v1",
    "application/json;v=v1",
    "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.1,application/json",
    "application/yaml;q=0.9,application/json;q=0.8",
    "application/json;as=\"Table\";v=v1;g=meta.k8s.io",
    "application/json/x,application/json",
];

/// What encodings are accepted.
pub(super) const ENCODINGS: [&str; 12] = [
    "gzip",
    "identity",
    "gzip;q=0",
    "*",
    "br,gzip;q=0.5",
    "br, gzip",
    "GZIP",
    "deflate",
    "gzip, deflate",
    "gzip;q=1.0",
    "x-gzip",
    "",
];
