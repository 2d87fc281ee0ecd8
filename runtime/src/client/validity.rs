//! The reason for a rejected token, which a server does not report: that the token has expired, or
//! is not valid yet.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, StatusCode, header};
use jiff::Timestamp;
use tower::Service;

use super::token::claims;

/// Reason why a token that was refused could not be accepted, by its own claims. An extension of
/// the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

/// Adds the reason to answers with the status 401.
#[derive(Debug, Clone)]
pub(super) struct Checked<S>(pub(super) S);

impl<S, B, C> Service<Request<B>> for Checked<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Future: Send + 'static,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<C>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let sent = request.headers().get(header::AUTHORIZATION).cloned();
        let answered = self.0.call(request);
        Box::pin(async move {
            let mut response = answered.await?;
            if response.status() == StatusCode::UNAUTHORIZED
                && let Some(why) = sent.and_then(|it| invalid(&it, Timestamp::now()))
            {
                response.extensions_mut().insert(why);
            }
            Ok(response)
        })
    }
}

/// Returns why a token is not valid now; `None` if it is, or has no times.
fn invalid(sent: &HeaderValue, now: Timestamp) -> Option<Invalid> {
    let token = sent.to_str().ok()?.strip_prefix("Bearer ")?;
    let claims = claims(token)?;
    let time = |key: &str| Timestamp::from_second(claims[key].as_f64()? as i64).ok();
    match (time("exp"), time("nbf")) {
        (Some(end), _) if end <= now => Some(Invalid(format!("the token expired at {end}"))),
        (_, Some(start)) if now < start => Some(Invalid(format!(
            "the token is valid from {start} on, and it is {now:.0} here"
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn said(claims: &str) -> Option<String> {
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let sent = HeaderValue::try_from(format!("Bearer head.{claims}.signature")).unwrap();
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        invalid(&sent, now).map(|it| it.0)
    }

    #[test]
    fn a_token_says_when_it_is_valid() {
        let expired = said(r#"{"exp": 999999999, "sub": "secret"}"#);
        assert_eq!(
            expired.unwrap(),
            "the token expired at 2001-09-09T01:46:39Z"
        );
        let early = said(r#"{"exp": 2000000000, "nbf": 1000000060.5}"#).unwrap();
        assert!(early.starts_with("the token is valid from 2001-09-09T01:47:40Z on"));
        for fine in [
            "{}",
            r#"{"exp": 2000000000}"#,
            "[]",
            "",
            r#"{"exp": "soon"}"#,
        ] {
            assert_eq!(said(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_text_that_is_no_token_says_nothing() {
        let now = Timestamp::now();
        for text in ["Bearer abc", "Basic YTpi", "Bearer a.!.c", ""] {
            assert_eq!(invalid(&HeaderValue::from_static(text), now), None);
        }
    }
}
