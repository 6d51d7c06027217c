//! Encrypted connections to a broker: whom to trust, and who we are.

use std::{fs, io};

use native_tls::{Certificate, Identity, TlsConnector};

use super::address::Protocol;

/// Files of a connection over TLS, all PEM.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TlsFiles {
    /// Certificates of the authorities to trust in place of the system's.
    pub ca: Option<String>,
    /// Our own certificate, and those between it and its authority.
    pub certificate: Option<String>,
    /// The key of our certificate, PKCS #8.
    pub key: Option<String>,
}

/// Why no encrypted connection can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{property}={name} cannot be read: {source}")]
    Read {
        property: &'static str,
        name: String,
        source: io::Error,
    },
    #[error(
        "ca-file={name} has no certificate: it must be a PEM file (-----BEGIN CERTIFICATE-----)"
    )]
    NoCertificate { name: String },
    #[error("ca-file={name}: {source}")]
    Authority {
        name: String,
        source: native_tls::Error,
    },
    #[error("certificate-file and key-file belong together: set both or neither")]
    Half,
    #[error(
        "certificate-file={certificate} and key-file={key} cannot be used: {source}. Both must be PEM, the key PKCS #8 (-----BEGIN PRIVATE KEY-----) and not encrypted"
    )]
    Identity {
        certificate: String,
        key: String,
        source: native_tls::Error,
    },
    #[error("TLS cannot be set up: {0}")]
    SetUp(native_tls::Error),
}

impl TlsFiles {
    /// Takes what is not set from the environment, for MQTT from `GST_REID_MQTT_CA_FILE`, `GST_REID_MQTT_CERTIFICATE_FILE` and
    /// `GST_REID_MQTT_KEY_FILE`.
    pub fn or_environment(
        self,
        protocol: &Protocol,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let file =
            |set: Option<String>, what| set.or_else(|| environment(&protocol.variable(what)));
        Self {
            ca: file(self.ca, "CA_FILE"),
            certificate: file(self.certificate, "CERTIFICATE_FILE"),
            key: file(self.key, "KEY_FILE"),
        }
    }

    /// Reads the files. Without an authority of its own the system's are trusted.
    pub fn connector(&self) -> Result<TlsConnector, TlsError> {
        let mut builder = TlsConnector::builder();
        if let Some(name) = &self.ca {
            builder.disable_built_in_roots(true);
            for certificate in authorities(name)? {
                builder.add_root_certificate(certificate);
            }
        }
        match (&self.certificate, &self.key) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                builder.identity(identity(certificate, key)?);
            }
            _ => return Err(TlsError::Half),
        }
        builder.build().map_err(TlsError::SetUp)
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The certificates of a PEM file, one at least.
fn authorities(name: &str) -> Result<Vec<Certificate>, TlsError> {
    let text = String::from_utf8_lossy(&read("ca-file", name)?).into_owned();
    let parts: Vec<&str> = text.split(BEGIN).skip(1).collect();
    if parts.is_empty() {
        return Err(TlsError::NoCertificate { name: name.into() });
    }
    let certificate = |part: &str| {
        Certificate::from_pem(format!("{BEGIN}{part}").as_bytes()).map_err(|source| {
            TlsError::Authority {
                name: name.into(),
                source,
            }
        })
    };
    parts.into_iter().map(certificate).collect()
}

fn identity(certificate: &str, key: &str) -> Result<Identity, TlsError> {
    let (chain, secret) = (
        read("certificate-file", certificate)?,
        read("key-file", key)?,
    );
    Identity::from_pkcs8(&chain, &secret).map_err(|source| TlsError::Identity {
        certificate: certificate.into(),
        key: key.into(),
        source,
    })
}

fn read(property: &'static str, name: &str) -> Result<Vec<u8>, TlsError> {
    fs::read(name).map_err(|source| TlsError::Read {
        property,
        name: name.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::address::KAFKA, *};

    #[test]
    fn mistakes_name_the_property() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.pem");
        fs::write(&file, "no certificate").unwrap();
        let file = file.to_str().map(str::to_owned);
        let broken = folder.path().join("broken.pem");
        fs::write(
            &broken,
            format!("{BEGIN}\nAAAA\n-----END CERTIFICATE-----\n"),
        )
        .unwrap();
        let broken = broken.to_str().map(str::to_owned);
        let missing = Some("/no/such.pem".to_owned());
        let cases = [
            (missing, None, None, "ca-file=/no/such.pem cannot be read"),
            (file.clone(), None, None, "has no certificate"),
            (broken, None, None, "ca-file="),
            (None, file.clone(), None, "set both or neither"),
            (None, file.clone(), file, "PKCS #8"),
        ];
        for (ca, certificate, key, part) in cases {
            let files = TlsFiles {
                ca,
                certificate,
                key,
            };
            let error = files.connector().err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(TlsFiles::default().connector().is_ok());
    }

    #[test]
    fn properties_go_before_the_environment() {
        let files = TlsFiles {
            ca: Some("mine".into()),
            ..TlsFiles::default()
        };
        let files = files.or_environment(&KAFKA, |name| Some(name.to_owned()));
        assert_eq!(files.ca.as_deref(), Some("mine"));
        assert_eq!(files.key.as_deref(), Some("GST_REID_KAFKA_KEY_FILE"));
    }
}
