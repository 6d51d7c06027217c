//! Connections to brokers: which kind a location means, and what is said on the bus about it.

use gst::prelude::*;
#[cfg(feature = "mqtt")]
use native_tls::TlsConnector;

use super::{
    ReidPublish,
    address::{Address, Protocol},
    lines::Settings,
    link::Connection,
    output::{OpenError, Output},
    report::{Reporter, teller},
    tls::TlsFiles,
};
#[cfg(feature = "kafka")]
use super::{address::KAFKA, kafka};
#[cfg(feature = "mqtt")]
use super::{address::MQTT, mqtt};
use crate::store::without_password;

/// Where to publish, and as who.
pub(super) struct Target {
    pub address: Address,
    /// For an encrypted connection.
    #[cfg(feature = "mqtt")]
    pub tls: Option<TlsConnector>,
    /// What an encrypted connection needs; known to be usable.
    #[cfg(feature = "kafka")]
    pub files: TlsFiles,
    /// The client's id.
    pub client: String,
    /// The element's name.
    #[cfg(feature = "kafka")]
    pub element: String,
}

type Connect = fn(Target, Reporter) -> Result<Box<dyn Connection>, OpenError>;

/// What this build speaks.
const BROKERS: &[(Protocol, Connect)] = &[
    #[cfg(feature = "mqtt")]
    (MQTT, |target, report| {
        Ok(Box::new(mqtt::open(target, report)?))
    }),
    #[cfg(feature = "kafka")]
    (KAFKA, |target, report| {
        Ok(Box::new(kafka::open(target, report)?))
    }),
];

/// Begins to connect to the broker that the location names; `None` where it names none.
pub(super) fn open(
    element: &ReidPublish,
    settings: &Settings,
) -> Option<Result<Output, OpenError>> {
    let is_meant = |(protocol, _): &&(Protocol, Connect)| protocol.is_of(&settings.location);
    let (protocol, connect) = BROKERS.iter().find(is_meant)?;
    let broker = target(element, settings, protocol)
        .and_then(|target| connect(target, teller(element, &settings.location)));
    Some(broker.map(|broker| Output::over(broker, without_password(&settings.location))))
}

/// Checks a location of `scheme`, and the password that the environment gives; `None` where this build does not speak it.
pub(super) fn check(scheme: &str, location: &str) -> Option<Result<(), OpenError>> {
    let (protocol, _) = BROKERS
        .iter()
        .find(|(protocol, _)| protocol.scheme == scheme)?;
    Some(Address::read(protocol, location, environment).map(drop))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn target(
    element: &ReidPublish,
    settings: &Settings,
    protocol: &Protocol,
) -> Result<Target, OpenError> {
    let address = Address::read(protocol, &settings.location, environment)?;
    let files = TlsFiles {
        ca: settings.ca_file.clone(),
        certificate: settings.certificate_file.clone(),
        key: settings.key_file.clone(),
    };
    let files = files.or_environment(protocol, environment);
    // What is wrong with the files is found at once.
    let connector = match address.is_encrypted {
        true => Some(files.connector()?),
        false => None,
    };
    #[cfg(not(feature = "mqtt"))]
    drop(connector);
    let element = element.name().to_string();
    Ok(Target {
        address,
        #[cfg(feature = "mqtt")]
        tls: connector,
        #[cfg(feature = "kafka")]
        files,
        // Two elements of one host must not have one id: a broker of MQTT closes the older connection.
        client: format!(
            "{element}-{}-{:08x}",
            std::process::id(),
            glib::random_int()
        ),
        #[cfg(feature = "kafka")]
        element,
    })
}
