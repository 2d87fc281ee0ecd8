use serde_json::json;

use super::{Known, Selectors};

const EAST: &[(&str, &str)] = &[("cluster.clusterset.k8s.io", "east"), ("region", "eu")];
const WEST: &[(&str, &str)] = &[("cluster.clusterset.k8s.io", "west"), ("region", "us")];
const NORTH: &[(&str, &str)] = &[
    ("cluster.clusterset.k8s.io", "north"),
    ("region", "eu"),
    ("gpu", "high"),
];

fn property(cluster: &'static [(&str, &str)], key: &str) -> Known<'static> {
    let found = cluster.iter().find(|(it, _)| *it == key);
    found.map_or(Known::Absent, |(_, value)| Known::Is(value))
}

fn matched(text: &str, importer: &'static [(&str, &str)]) -> Vec<Vec<&'static str>> {
    let Some(Selectors::Valid(selectors)) = Selectors::of_annotation(text) else {
        panic!("{text}: {:?}", Selectors::of_annotation(text));
    };
    let matched = selectors.matches(
        |key| property(importer, key),
        &[EAST, WEST, NORTH],
        property,
    );
    let names = |it: Vec<&'static [(&str, &'static str)]>| it.iter().map(|it| it[0].1).collect();
    matched.unwrap().into_iter().map(names).collect()
}

#[test]
fn selectors_match_as_label_selectors_do_and_know_the_importer() {
    let text = "
- propertySelector:
    matchExpressions:
    - {key: cluster.clusterset.k8s.io, operator: In, values: ['@SameAsImporter@']}
- propertySelector:
    matchProperties: {region: '@SameAsImporter@'}
- propertySelector:
    matchProperties: {region: eu}
    matchExpressions: [{key: gpu, operator: Exists}]
- propertySelector:
    matchExpressions: [{key: gpu, operator: DoesNotExist}]
- propertySelector:
    matchExpressions: [{key: region, operator: NotIn, values: [eu]}]
- propertySelector:
    matchExpressions: [{key: gpu, operator: NotIn, values: ['@SameAsImporter@']}]
";
    let of_north = matched(text, NORTH);
    assert_eq!(
        of_north,
        [
            vec!["north"],
            vec!["east", "north"],
            vec!["north"],
            vec!["east", "west"],
            vec!["west"],
            vec!["east", "west"],
        ]
    );
    // An importer without the property selects nothing by it.
    assert_eq!(matched(text, EAST)[5], Vec::<&str>::new());
    assert_eq!(matched(text, WEST)[1], ["west"]);
}

#[test]
fn properties_that_were_not_read_match_nothing_and_exclude_nothing() {
    let both = json!([{"propertySelector": {"matchProperties": {"region": "eu", "gpu": "low"}}}]);
    let selectors = Selectors::of_field(&both).unwrap();
    let ask = |of: fn(&str) -> Known<'static>| {
        let selectors = selectors.valid().unwrap();
        let matched = selectors.matches(|_| Known::Absent, &[()], |(), key| of(key));
        matched.map(|it| it[0].len())
    };
    assert_eq!(ask(|_| Known::Unread), None);
    assert_eq!(
        ask(|key| if key == "gpu" {
            Known::Unread
        } else {
            Known::Is("us")
        }),
        Some(0)
    );
    assert_eq!(
        ask(|key| Known::Is(if key == "gpu" { "low" } else { "eu" })),
        Some(1)
    );
}

#[test]
fn selectors_that_mean_nothing_are_rejected_with_the_reason() {
    for (text, why) in [
        ("[{}]", "no propertySelector"),
        ("[{propertySelector: {}}]", "is empty"),
        ("[{propertySelector: {matchLabels: {a: b}}}]", "matchLabels"),
        ("[{labelSelector: {}}]", "labelSelector"),
        (
            "[{propertySelector: {matchExpressions: [{key: a, operator: In}]}}]",
            "needs values",
        ),
        (
            "[{propertySelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]",
            "must not have values",
        ),
        (
            "[{propertySelector: {matchExpressions: [{key: a, operator: Gt, values: [b]}]}}]",
            "Gt",
        ),
        ("[{propertySelector: {matchProperties: {A_b: c}}}]", "A_b"),
        ("{a: b}", "sequence"),
        ("[", "not YAML"),
    ] {
        let read = Selectors::of_annotation(text);
        let Some(Selectors::Invalid(told)) = read else {
            panic!("{text}: {read:?}");
        };
        assert!(told.contains(why), "{text}: {told}");
    }
    // Aliases that multiply, and depth without end.
    let aliases = (1..40).map(|i| format!("- &a{i} [*a{0}, *a{0}, *a{0}, *a{0}]\n", i - 1));
    let bomb = format!("- &a0 [x]\n{}", aliases.collect::<String>());
    for text in [bomb, "[".repeat(16_000)] {
        let read = Selectors::of_annotation(&text);
        assert!(matches!(read, Some(Selectors::Invalid(_))), "{read:?}");
    }
    let many = vec![json!({"propertySelector": {"matchProperties": {"a": "b"}}}); 17];
    let read = Selectors::of_field(&json!(many));
    assert!(matches!(read, Some(Selectors::Invalid(why)) if why.contains("16")));
    assert_eq!(Selectors::of_annotation("[]"), None);
}
