use proptest::prelude::*;

use super::{LabelSelector, Labels};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(text: &str) -> Result<LabelSelector, String> {
    text.parse::<LabelSelector>().map_err(|why| why.to_string())
}

#[test]
fn selectors_match_as_a_kube_apiserver_matches() {
    let web = labels(&[("app", "web"), ("tier", ""), ("n", "5")]);
    for matching in [
        "",
        " ",
        "app",
        "app=web",
        "app==web",
        " app = web ",
        "app!=db",
        "other!=x",
        "!other",
        "app in (db, web)",
        "app notin (db)",
        "other notin (x)",
        "tier=",
        "tier in (,)",
        "n>4",
        "n<6",
        "app,n",
        "in!=x",
        "app in (web,,)",
    ] {
        assert!(parse(matching).unwrap().matches(&web), "{matching:?}");
    }
    for other in [
        "other",
        "app=db",
        "app!=web",
        "!app",
        "app in (db)",
        "app notin (web)",
        "n>5",
        "n<5",
        "app>1",
        "app in ()",
        "app,other",
    ] {
        assert!(!parse(other).unwrap().matches(&web), "{other:?}");
    }
}

#[test]
fn errors_use_the_words_of_a_kube_apiserver() {
    for (text, error) in [
        ("a=b,", "found '', expected: identifier after ','"),
        (
            "=b",
            "found '=', expected: !, identifier, or 'end of string'",
        ),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "a in b",
            "unable to parse requirement: found 'b' expected: '('",
        ),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "!",
            "unable to parse requirement: found '', expected: identifier",
        ),
        (
            "/x=1",
            "unable to parse requirement: <nil>: Invalid value: \"/x\": prefix part must be non-empty",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), error, "{text:?}");
    }
}

#[test]
fn order_does_not_make_a_selector_another() {
    assert_eq!(parse("a=1,b in (y,x)"), parse("b in (x,y),a==1"));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[a-c/.=!<>(), in\t-]{0,24}") {
        let _ = parse(&text);
    }

    #[test]
    fn printed_text_parses_to_the_same(text in "(!?[a-c]{1,2}|[a-c]{1,2}(=|!=| in | notin )(x|\\(x,y\\)|))(,[a-c]|,!d)?") {
        if let Ok(selector) = parse(&text) {
            prop_assert_eq!(parse(&selector.to_string()), Ok(selector));
        }
    }
}
