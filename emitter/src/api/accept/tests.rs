use super::{
    Chosen, Encoding, Format, Include, Offer, Offered, Part, Unacceptable, Verb, is_served,
    negotiate, of_refusals, wants_aggregated_discovery,
};

const KUBECTL_GET: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const PROTOBUF_FIRST: &str = "application/vnd.kubernetes.protobuf,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

fn chosen(header: &str, verb: Verb) -> Result<Chosen, Unacceptable> {
    let offer = Offer {
        verb,
        include: Include::Metadata,
        protobuf: true,
    };
    negotiate(Some(header), offer)
}

fn plain(format: Format, encoding: Encoding) -> Result<Chosen, Unacceptable> {
    Ok(Chosen {
        format,
        encoding,
        misplaced: None,
    })
}

#[test]
fn clients_get_what_they_prefer_among_what_there_is() {
    let check = |header, verb, format, encoding| {
        assert_eq!(chosen(header, verb), plain(format, encoding), "{header}");
    };
    let (json, object) = (Format::Json, Encoding::Object);
    let table = Encoding::Table(Include::Metadata);
    check("", Verb::List, json, object);
    check("*/*", Verb::Watch, json, object);
    check(KUBECTL_GET, Verb::List, json, table);
    check(KUBECTL_GET, Verb::Watch, json, table);
    check(METADATA, Verb::Watch, json, Encoding::Metadata);
    check("application/yaml", Verb::List, Format::Yaml, object);
    check(
        "application/yaml;as=Table;v=v1;g=meta.k8s.io",
        Verb::Get,
        Format::Yaml,
        table,
    );
    check(
        "application/json;as=Nonsense;g=x;v=v1,*/*",
        Verb::Get,
        json,
        object,
    );
    check(
        "application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9",
        Verb::List,
        json,
        table,
    );
}

#[test]
fn protobuf_is_for_objects_and_their_metadata() {
    let check = |header: &str, part| {
        let encoding = Encoding::Protobuf(part);
        let expected = plain(Format::Protobuf, encoding);
        assert_eq!(chosen(header, Verb::Watch), expected, "{header}");
    };
    let protobuf = "application/vnd.kubernetes.protobuf";
    check(PROTOBUF_FIRST, Part::Whole);
    check(&format!("{protobuf};stream=watch"), Part::Whole);
    let metadata = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    check(&format!("{protobuf}{metadata}"), Part::Metadata);
    assert_eq!(
        chosen(
            &format!("{protobuf};as=Table;g=meta.k8s.io;v=v1"),
            Verb::List
        ),
        Err(Unacceptable::NotOffered(Offered::Everything))
    );
}

#[test]
fn fields_that_protobuf_lacks_are_served_in_json() {
    let offer = Offer {
        verb: Verb::List,
        include: Include::Metadata,
        protobuf: false,
    };
    assert_eq!(
        negotiate(Some(PROTOBUF_FIRST), offer),
        plain(Format::Json, Encoding::Object)
    );
    assert_eq!(
        negotiate(Some("application/vnd.kubernetes.protobuf"), offer),
        Err(Unacceptable::NotOffered(Offered::WithoutProtobuf))
    );
}

#[test]
fn media_types_that_are_not_offered_are_rejected() {
    let everything = Unacceptable::NotOffered(Offered::Everything);
    assert_eq!(chosen("text/html", Verb::Get), Err(everything));
    let check = |header, verb, why| {
        let misplaced = chosen(header, verb).unwrap().misplaced;
        assert_eq!(misplaced, why, "{header}");
    };
    let streams = Some(Unacceptable::NotOffered(Offered::Streams));
    check(METADATA, Verb::List, Some(Unacceptable::IsList));
    check(METADATA, Verb::Get, None);
    check("application/yaml", Verb::Watch, streams.clone());
    // A watch's format is chosen before anybody looks whether it can be streamed.
    check("application/yaml,application/json", Verb::Watch, streams);
}

#[test]
fn refusals_are_written_as_the_answer_would_have_been() {
    assert_eq!(of_refusals(Some(PROTOBUF_FIRST)), Some(Format::Protobuf));
    assert_eq!(of_refusals(Some(METADATA)), None);
    assert_eq!(of_refusals(Some(KUBECTL_GET)), Some(Format::Json));
    assert!(is_served(Some("application/yaml;q=0")) && !is_served(Some("text/*")));
}

#[test]
fn aggregated_discovery_is_asked_for_by_name() {
    assert!(wants_aggregated_discovery(Some(
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    )));
    assert!(!wants_aggregated_discovery(Some(
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    )));
    assert!(!wants_aggregated_discovery(None));
}
