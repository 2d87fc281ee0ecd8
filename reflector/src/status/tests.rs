use super::{
    ConfigurationStatus, FeedStatus, HeldStatus, Mirrors, ProblemStatus, SourceStatus, Status,
};

/// Returns a status of a leader with these sources, without mirrors and problems.
pub(crate) fn well(sources: Vec<SourceStatus>) -> Status {
    Status {
        sources,
        problems: Vec::new(),
        held: Vec::new(),
        mirrors: Mirrors {
            services: 0,
            slices: 0,
            endpoints: 0,
        },
        waiting: 0,
        leads: true,
        writer: None,
        configuration: ConfigurationStatus::default(),
        write_error: None,
        lease_error: None,
        cluster_set: None,
    }
}

#[test]
fn a_status_prints_as_a_table_and_sentences() {
    let feed = |resource: &str, error: Option<&str>| FeedStatus {
        resource: resource.to_owned(),
        state: "synced".to_owned(),
        objects: 3,
        age_seconds: error.is_none().then_some(7),
        last_error: error.map(str::to_owned),
    };
    let status = Status {
        sources: vec![SourceStatus {
            name: "east".to_owned(),
            cluster: Some("uid".to_owned()),
            cluster_unknown: None,
            feeds: vec![
                feed("services", None),
                feed("endpointslices", Some("cannot list")),
            ],
        }],
        problems: vec![ProblemStatus {
            reason: "NameTooLong".to_owned(),
            object: "demo/web".to_owned(),
            source: "east".to_owned(),
            message: "Service demo/web of source east: too long".to_owned(),
        }],
        held: vec![HeldStatus {
            source: "east".to_owned(),
            resource: "services".to_owned(),
            deletions: 2,
            reason: "it lacks most".to_owned(),
            until: "2026-01-01T00:00:00Z".to_owned(),
        }],
        mirrors: Mirrors {
            services: 3,
            slices: 4,
            endpoints: 2,
        },
        ..well(Vec::new())
    };
    assert_eq!(
        status.to_string(),
        "\
SOURCE   RESOURCE         STATE    OBJECTS   AGE   LAST ERROR
east     services         synced   3         7s    -
east     endpointslices   synced   3         -     cannot list

Source east is not followed; mirrors stay as they are, trying again
Source east: 2 deletions of services are held until 2026-01-01T00:00:00Z, when the source is listed again: it lacks most

3 mirror Services, 4 mirror EndpointSlices, 2 mirror Endpoints

NameTooLong: Service demo/web of source east: too long
"
    );
}

#[test]
fn a_lease_that_cannot_be_had_is_told_instead_of_another_writer() {
    let mut status = Status {
        leads: false,
        lease_error: Some("the Lease m/r cannot be had: forbidden".to_owned()),
        ..well(Vec::new())
    };
    let told = status.to_string();
    assert!(told.contains("The Lease m/r cannot be had: forbidden. This replica does not write\n"));
    assert!(
        !told.contains("standby") && !told.contains("No problems"),
        "{told}"
    );
    status.writer = Some("other".to_owned());
    assert!(
        status
            .to_string()
            .contains("other was the last known leader")
    );
}

#[test]
fn a_status_of_another_version_is_read() {
    let older = r#"{
        "sources": [{"name": "east", "feeds": [
            {"resource": "services", "state": "synced", "objects": 3, "later": 1}
        ]}],
        "problems": [], "mirrors": {"services": 3, "slices": 4, "later": {}},
        "waiting": 0, "leads": true, "later": ["x"]
    }"#;
    let status: Status = serde_json::from_str(older).unwrap();
    assert_eq!(status.mirrors.endpoints, 0);
    let text = serde_json::to_string(&status).unwrap();
    for name in ["resources", "endpointSlices", "queueDepth", "leader"] {
        assert!(text.contains(&format!("\"{name}\":")), "{name}: {text}");
    }
    assert!(status.to_string().ends_with("No problems\n"));
    assert!(status.is_synced());
    let mut stale = status;
    stale.sources[0].feeds[0].state = "stale".to_owned();
    stale.configuration.notes = vec!["no sources".to_owned()];
    assert!(!stale.is_synced());
    assert!(stale.to_string().contains("\nConfiguration: no sources\n"));
}

#[test]
fn many_lost_sources_are_one_sentence() {
    let mut status = well(Vec::new());
    let lost = |i: usize| SourceStatus {
        name: format!("s{i}"),
        cluster: None,
        cluster_unknown: None,
        feeds: vec![FeedStatus {
            resource: "services".to_owned(),
            state: "stale".to_owned(),
            objects: 0,
            age_seconds: None,
            last_error: Some("refused".to_owned()),
        }],
    };
    status.sources = (0..5).map(lost).collect();
    assert_eq!(status.notices().len(), 5);
    status.sources = (0..50).map(lost).collect();
    let [notice] = status.notices().try_into().unwrap();
    assert!(notice.is_failure);
    assert_eq!(
        notice.text,
        format!(
            "Sources s0, s1, s2, s3, s4 and 45 more are {}",
            super::SOURCE_DISCONNECTED
        )
    );
}

#[test]
fn a_local_api_server_that_takes_no_writes_is_told() {
    let status = Status {
        write_error: Some("etcd has no leader".to_owned()),
        ..well(Vec::new())
    };
    let told = status.to_string();
    assert!(told.contains("takes no writes; trying again: etcd has no leader"));
}
