//! What a control plane reads: certificates, tokens, kubeconfigs.

use std::fs;
use std::path::PathBuf;

use super::{ADMIN, ControlPlane};
use crate::audit;
use crate::certificates::Certificates;

impl ControlPlane {
    pub(super) fn write_files(&self, certificates: &Certificates) -> anyhow::Result<()> {
        let users = std::iter::once(ADMIN).chain(self.builder.users.iter().map(String::as_str));
        let mut tokens = String::new();
        for user in users {
            let token = self.token_for(user);
            let group = if user == ADMIN { "system:masters" } else { "" };
            tokens += &format!("{token},{user},{user},\"{group}\"\n");
            let kubeconfig = self.kubeconfig_text(user, &token);
            fs::write(self.kubeconfig_for(user), kubeconfig)?;
        }
        for (name, text) in [
            ("ca.crt", certificates.authority.as_str()),
            ("serving.crt", &certificates.serving),
            ("serving.key", &certificates.serving_key),
            ("token.key", &certificates.token_key),
            ("token.pub", &certificates.token_public_key),
            ("tokens.csv", &tokens),
            ("audit-policy.yaml", audit::POLICY),
        ] {
            fs::write(self.file(name), text)?;
        }
        Ok(())
    }

    /// Gives the API server a certificate of another authority, in the same files, which
    /// it reads when it starts.
    pub fn rotate_authority(&self) -> anyhow::Result<()> {
        let certificates = Certificates::new(self.builder.address)?;
        for (name, text) in [
            ("ca.crt", &certificates.authority),
            ("serving.crt", &certificates.serving),
            ("serving.key", &certificates.serving_key),
        ] {
            fs::write(self.file(name), text)?;
        }
        Ok(())
    }

    /// Where the authority's certificate is, as it is now.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.file("ca.crt")
    }

    fn kubeconfig_text(&self, user: &str, token: &str) -> String {
        let (name, url) = (&self.name, self.url());
        let authority = self.file("ca.crt");
        let authority = authority.display();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
             clusters: [{{name: {name}, cluster: {{server: \"{url}\", certificate-authority: \"{authority}\"}}}}]\n\
             users: [{{name: {user}, user: {{token: \"{token}\"}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {user}}}}}]\n"
        )
    }
}
