//! Answers that are not sent whole, or not sent at all.

use proto_types::delta::{Form, Head};

use super::{Body, BodyExt, Lab, Request};

#[tokio::test]
async fn a_large_list_is_compressed_for_who_takes_it() {
    let names: Vec<String> = (0..2000).map(|i| format!("service-{i:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lab = Lab::with(&names);
    let get = async |encoding: &str| {
        let request = Request::get("/api/v1/services").header("accept-encoding", encoding);
        let (_, headers, body) = lab.send(request.body(Body::empty()).unwrap()).await;
        let body = body.collect().await.unwrap().to_bytes();
        (headers.contains_key("content-encoding"), body)
    };
    let (is_plain, plain) = get("identity").await;
    let (is_gzip, packed) = get("gzip").await;
    assert!(!is_plain && is_gzip);
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(packed.as_ref());
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert_eq!(get("gzip").await.1.as_ptr(), packed.as_ptr(), "made once");
}

#[tokio::test]
async fn a_watch_is_compressed_once_for_all_who_take_it() {
    let lab = Lab::with(&["a"]);
    let open = async |encoding: &str| {
        let path = "/api/v1/services?watch=1&resourceVersion=100&timeoutSeconds=1";
        let request = Request::get(path).header("accept-encoding", encoding);
        let (_, headers, body) = lab.send(request.body(Body::empty()).unwrap()).await;
        (headers.contains_key("content-encoding"), body)
    };
    let (is_plain, plain) = open("identity").await;
    let (is_gzip, first) = open("gzip").await;
    let (_, second) = open("gzip").await;
    assert!(!is_plain && is_gzip);
    let long = "x".repeat(2000);
    lab.tell(super::Event::Applied(super::labelled("b", 101, &long)));
    lab.tell(super::Event::Applied(super::labelled("c", 102, "y")));
    let frames = async |mut body: Body| {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        frames
    };
    let (plain, first, second) = (
        frames(plain).await,
        frames(first).await,
        frames(second).await,
    );
    let mut unpacked = Vec::new();
    let packed = first.concat();
    let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.concat());
    assert!(packed.len() < plain.concat().len() / 2, "{}", packed.len());
    // A header, two events and an end.
    assert_eq!(first.len(), 4);
    assert_eq!(first[1].as_ptr(), second[1].as_ptr(), "made once");
}

#[tokio::test]
async fn a_watch_is_sent_as_differences_from_what_its_reader_holds() {
    let lab = Lab::with(&["a"]);
    let open = async |since: Option<&str>| {
        let path = "/api/v1/services?watch=1&resourceVersion=100&timeoutSeconds=1";
        let mut request = Request::get(path).header("accept-encoding", "heliograph-delta, gzip");
        if let Some(since) = since {
            request = request.header("heliograph-held-since", since);
        }
        let (_, headers, body) = lab.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(headers["content-encoding"], "heliograph-delta");
        body
    };
    let holding = open(Some("101")).await;
    let later = open(Some("102")).await;
    let nothing = open(None).await;
    let long = "x".repeat(2000);
    for (name, revision) in [("b", 101), ("b", 102), ("b", 103), ("c", 104)] {
        lab.tell(super::Event::Applied(super::labelled(
            name, revision, &long,
        )));
    }
    let forms = async |mut body: Body| {
        let mut forms = Vec::new();
        while let Some(frame) = body.frame().await {
            let record = frame.unwrap().into_data().unwrap();
            let (head, payload) = Head::read(&record).unwrap().unwrap();
            assert_eq!(head.payload, payload.len());
            assert!(head.length < 10 * record.len() || record.len() < 300);
            forms.push(match head.form {
                Form::Plain | Form::Deflated => 0,
                Form::Difference(former) => former.revision.number(),
            });
        }
        forms
    };
    assert_eq!(forms(holding).await, [0, 101, 102, 0]);
    assert_eq!(forms(later).await, [0, 0, 102, 0]);
    assert_eq!(forms(nothing).await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_list_announces_its_length_in_one_way() {
    let lab = Lab::with(&["a"]);
    for query in ["", "?limit=1", "?pretty=1"] {
        let request = Request::get(format!("/api/v1/services{query}"));
        let (_, headers, body) = lab.send(request.body(Body::empty()).unwrap()).await;
        // The HTTP library writes the length of a body whose size is known.
        let length = hyper::body::Body::size_hint(&body).exact().unwrap();
        let read = body.collect().await.unwrap().to_bytes().len();
        assert_eq!(length, u64::try_from(read).unwrap(), "{query}");
        assert!(!headers.contains_key("transfer-encoding"), "{query}");
    }
}

#[tokio::test]
async fn a_document_that_is_known_is_not_sent_again() {
    let lab = Lab::with(&[]);
    let get = async |tag: Option<http::HeaderValue>| {
        let mut request = Request::get("/apis").header(
            "accept",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        );
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        lab.send(request.body(Body::empty()).unwrap()).await
    };
    let (code, headers, _) = get(None).await;
    assert_eq!(code, 200);
    let (code, _, body) = get(headers.get("etag").cloned()).await;
    assert_eq!(code, 304);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}
