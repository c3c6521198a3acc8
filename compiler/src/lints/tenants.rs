//! Hosts on which anybody can have an account, told apart by the path.

/// What a shared host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Repositories.
    Code,
    /// Buckets and files.
    Store,
    /// Texts that anybody puts there.
    Paste,
    /// Addresses that pass messages on.
    Webhook,
    /// Documents and scripts.
    Office,
    /// Tunnels to a machine of anybody's.
    Tunnel,
}

impl Kind {
    /// What that means.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Kind::Code => "anybody has a repository there, to push to and to fetch from",
            Kind::Store => "anybody has a bucket there, to put files into",
            Kind::Paste => "anybody leaves texts there and reads them elsewhere",
            Kind::Webhook => "anybody has a webhook there that passes messages on to them",
            Kind::Office => "anybody has a document or script there that takes data in",
            Kind::Tunnel => "anybody has a tunnel there to a machine of their own",
        }
    }
}

/// The hosts. What has a host for each account (`name.example.net`) is no matter of this table: one such host is one
/// account, and all of them are a public suffix.
pub(crate) const SHARED: &[(&str, Kind)] = &[
    ("github.com", Kind::Code),
    ("api.github.com", Kind::Code),
    ("gist.github.com", Kind::Code),
    ("raw.githubusercontent.com", Kind::Code),
    ("gist.githubusercontent.com", Kind::Code),
    ("codeload.github.com", Kind::Code),
    ("uploads.github.com", Kind::Code),
    ("gitlab.com", Kind::Code),
    ("bitbucket.org", Kind::Code),
    ("api.bitbucket.org", Kind::Code),
    ("codeberg.org", Kind::Code),
    ("git.sr.ht", Kind::Code),
    ("gitee.com", Kind::Code),
    ("dev.azure.com", Kind::Code),
    ("huggingface.co", Kind::Code),
    ("s3.amazonaws.com", Kind::Store),
    ("storage.googleapis.com", Kind::Store),
    ("storage.cloud.google.com", Kind::Store),
    ("firebasestorage.googleapis.com", Kind::Store),
    ("content.dropboxapi.com", Kind::Store),
    ("api.dropboxapi.com", Kind::Store),
    ("www.dropbox.com", Kind::Store),
    ("upload.box.com", Kind::Store),
    ("transfer.sh", Kind::Store),
    ("file.io", Kind::Store),
    ("catbox.moe", Kind::Store),
    ("litterbox.catbox.moe", Kind::Store),
    ("gofile.io", Kind::Store),
    ("mega.nz", Kind::Store),
    ("pastebin.com", Kind::Paste),
    ("paste.ee", Kind::Paste),
    ("dpaste.com", Kind::Paste),
    ("dpaste.org", Kind::Paste),
    ("hastebin.com", Kind::Paste),
    ("rentry.co", Kind::Paste),
    ("termbin.com", Kind::Paste),
    ("ix.io", Kind::Paste),
    ("0x0.st", Kind::Paste),
    ("bpa.st", Kind::Paste),
    ("privatebin.net", Kind::Paste),
    ("controlc.com", Kind::Paste),
    ("hooks.slack.com", Kind::Webhook),
    ("slack.com", Kind::Webhook),
    ("discord.com", Kind::Webhook),
    ("discordapp.com", Kind::Webhook),
    ("api.telegram.org", Kind::Webhook),
    ("hooks.zapier.com", Kind::Webhook),
    ("maker.ifttt.com", Kind::Webhook),
    ("webhook.site", Kind::Webhook),
    ("outlook.office.com", Kind::Webhook),
    ("ntfy.sh", Kind::Webhook),
    ("api.pushover.net", Kind::Webhook),
    ("docs.google.com", Kind::Office),
    ("drive.google.com", Kind::Office),
    ("sheets.googleapis.com", Kind::Office),
    ("script.google.com", Kind::Office),
    ("forms.gle", Kind::Office),
    ("api.notion.com", Kind::Office),
    ("api.airtable.com", Kind::Office),
    ("graph.microsoft.com", Kind::Office),
    ("connect.ngrok-agent.com", Kind::Tunnel),
    ("localhost.run", Kind::Tunnel),
    ("serveo.net", Kind::Tunnel),
    ("api.trycloudflare.com", Kind::Tunnel),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use outcall_schema::host::Host;

    use super::*;

    #[test]
    fn every_host_is_canonical_and_stands_there_once() {
        let hosts: HashSet<&str> = SHARED.iter().map(|(host, _)| *host).collect();
        assert_eq!(hosts.len(), SHARED.len());
        for host in hosts {
            assert_eq!(Host::parse(host).unwrap().as_text(), host);
        }
    }
}
