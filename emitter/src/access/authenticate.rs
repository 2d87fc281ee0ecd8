//! Authentication: by certificate, by a token of the file, by a token of a trusted issuer, or by
//! the upstream's API server, in this order.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use proto_types::Status;
use rustls::pki_types::CertificateDer;

use super::policy_snapshot::{Error, Ruling};
use super::tokens::Tokens;
use super::turns::Busy;
use super::unauthenticated::{Cause, Complaints, Reason};
use super::{AccessDecision, Credentials, Denied, Method, Parts, User};
use super::{certificate, delegated, refusal, workload};
use crate::metrics::{Limit, Metrics};
use crate::tls::Certificates;

/// Authenticates clients.
pub(super) struct Authenticator {
    anonymous: bool,
    token_file: Option<PathBuf>,
    tokens: RwLock<Arc<Tokens>>,
    certificates: Option<Arc<Certificates>>,
    delegated: Option<delegated::Authentication>,
    complaints: Complaints,
    metrics: Arc<Metrics>,
}

/// Outcome of an authentication that fails.
#[derive(Debug)]
enum Unknown {
    /// They are not valid.
    Rejected(Vec<Cause>),
    /// Too many are being reviewed.
    Busy,
    /// The API server did not review the token.
    Unreviewed(Cause),
}

/// Too many credentials are being reviewed: a client that comes again may be known.
pub(super) fn busy(metrics: &Metrics) -> Denied {
    metrics.refused(Limit::Authentication);
    let why = "Too many credentials are being reviewed, please try again later.";
    Denied::Refused(Status::too_many_requests(why, 1))
}

impl Authenticator {
    /// Reads the file of tokens for the first time.
    pub(super) fn open(parts: &Parts) -> Result<Self, Error> {
        let settings = &parts.settings;
        let delegated = settings
            .delegate_authentication
            .then(|| delegated::Authentication::new(parts.client.clone(), settings.delegation_ttl));
        let tokens = settings.tokens.as_deref().map(Tokens::read).transpose()?;
        Ok(Self {
            anonymous: settings.anonymous,
            token_file: settings.tokens.clone(),
            tokens: RwLock::new(Arc::new(tokens.unwrap_or_default())),
            certificates: parts.certificates.clone(),
            delegated,
            complaints: Complaints::default(),
            metrics: Arc::clone(&parts.metrics),
        })
    }

    /// Reads the file of tokens again.
    pub(super) fn reload_tokens(&self) -> Result<(), Error> {
        if let Some(path) = &self.token_file {
            *self.tokens.write() = Arc::new(Tokens::read(path)?);
        }
        Ok(())
    }

    /// Returns the user of a request, and how it was known; counts and logs both outcomes.
    pub(super) async fn user(
        &self,
        credentials: &Credentials,
        ruling: &Ruling,
    ) -> Result<(User, Method), Denied> {
        let known = self.known(credentials, ruling).await;
        let known = known.map_err(|unknown| self.unknown(unknown, credentials, ruling))?;
        self.metrics.authenticated(known.1.name());
        Ok(known)
    }

    /// Returns whether the user of a right would be known by the same credentials now. A
    /// token that was reviewed is not reviewed again.
    pub(super) fn still_knows(&self, right: &AccessDecision, ruling: &Ruling) -> bool {
        match &right.method {
            Method::Certificate => {
                let user = self.by_certificate(&right.credentials.certificates);
                user.is_some_and(|it| it.is_ok())
            }
            Method::Token => {
                let token = right.credentials.token.as_deref().unwrap_or_default();
                self.tokens.read().user(token) == Some(&right.user)
            }
            Method::Issuer(name) => {
                (ruling.issuer(name)).is_some_and(|issuer| issuer.still_knows(&right.user))
            }
            Method::Delegated | Method::Anonymous => true,
        }
    }

    /// Counts and logs why a client is not known, and returns the answer.
    fn unknown(&self, unknown: Unknown, credentials: &Credentials, ruling: &Ruling) -> Denied {
        let (mut causes, status) = match unknown {
            Unknown::Busy => return busy(&self.metrics),
            Unknown::Unreviewed(cause) => (vec![cause], refusal::unreviewed()),
            Unknown::Rejected(causes) => (causes, refusal::unauthorized()),
        };
        if causes.is_empty() {
            causes.push(Cause {
                method: "none",
                reason: Reason::NoCredentials,
                details: self.no_credentials(credentials, ruling),
            });
        }
        for cause in &causes {
            self.metrics
                .unauthenticated(cause.method, cause.reason.name());
            let token = credentials.token.as_deref();
            self.complaints.log(cause, token, credentials.address);
        }
        Denied::Refused(status)
    }

    /// Says what a request without usable credentials could bring.
    fn no_credentials(&self, credentials: &Credentials, ruling: &Ruling) -> String {
        let trusts_certificates = self.certificates.as_ref();
        let has_ca = trusts_certificates.is_some_and(|it| it.trusts(&[]).is_some());
        let unread = match (
            credentials.token.is_some(),
            credentials.certificates.is_empty(),
        ) {
            (true, _) => {
                "its token is not looked at (neither issuers, --token-auth-file nor \
                          --delegate-authentication are configured), "
            }
            (false, false) if !has_ca => {
                "its certificate is not looked at (--client-ca-file is not set), "
            }
            (false, _) => "",
        };
        let accepted = match (self.reads_tokens(ruling), has_ca) {
            (true, true) => "a bearer token or a client certificate",
            (true, false) => "a bearer token",
            (false, _) => "a client certificate",
        };
        format!("{unread}the emitter accepts {accepted}")
    }

    async fn known(
        &self,
        credentials: &Credentials,
        ruling: &Ruling,
    ) -> Result<(User, Method), Unknown> {
        let mut causes = Vec::new();
        match self.by_certificate(&credentials.certificates) {
            Some(Ok(user)) => return Ok((user, Method::Certificate)),
            Some(Err(cause)) => causes.push(cause),
            None => {}
        }
        if let Some(token) = credentials
            .token
            .as_deref()
            .filter(|_| self.reads_tokens(ruling))
        {
            match self.by_token(token, credentials.address, ruling).await {
                Ok(known) => return Ok(known),
                Err(Unknown::Rejected(more)) => causes.extend(more),
                Err(unknown) => return Err(unknown),
            }
        }
        match self.anonymous && causes.is_empty() {
            true => Ok((User::anonymous(), Method::Anonymous)),
            false => Err(Unknown::Rejected(causes)),
        }
    }

    /// Returns whether a token file, TokenReview or an issuer is configured.
    fn reads_tokens(&self, ruling: &Ruling) -> bool {
        self.token_file.is_some() || self.delegated.is_some() || !ruling.issuers.is_empty()
    }

    fn by_certificate(&self, chain: &[CertificateDer<'static>]) -> Option<Result<User, Cause>> {
        let own = chain.first()?;
        let trusted = self.certificates.as_ref()?.trusts(chain)?;
        let user = trusted.map_err(|why| Cause::of_certificate(&why));
        Some(user.and_then(|()| {
            certificate::user(own).ok_or_else(|| Cause {
                method: "certificate",
                reason: Reason::NoCommonName,
                details: "the common name of the subject is the user".to_owned(),
            })
        }))
    }

    async fn by_token(
        &self,
        token: &str,
        address: Option<IpAddr>,
        ruling: &Ruling,
    ) -> Result<(User, Method), Unknown> {
        let tokens = Arc::clone(&self.tokens.read());
        if let Some(user) = tokens.user(token) {
            return Ok((user.clone(), Method::Token));
        }
        if let Some(name) = workload::claimed_issuer(token)
            && let Some(issuer) = ruling.issuer(&name)
        {
            let user = issuer.user(token).await;
            let user = user.map_err(|cause| Unknown::Rejected(vec![cause]))?;
            return Ok((user, Method::Issuer(name)));
        }
        let cause = |method, reason, details| Cause {
            method,
            reason,
            details,
        };
        let Some(authentication) = &self.delegated else {
            let details = "no issuer of the access configuration and no line of \
                           --token-auth-file has it"
                .to_owned();
            let cause = cause("token", Reason::UnknownToken, details);
            return Err(Unknown::Rejected(vec![cause]));
        };
        match authentication.user(token, address).await {
            Ok(Ok(user)) => Ok((user, Method::Delegated)),
            Ok(Err(words)) => {
                let cause = cause("delegated", Reason::Rejected, words);
                Err(Unknown::Rejected(vec![cause]))
            }
            Err(why) if why.is::<Busy>() => Err(Unknown::Busy),
            Err(why) => {
                let cause = cause("delegated", Reason::NotReviewed, why.to_string());
                Err(Unknown::Unreviewed(cause))
            }
        }
    }
}
