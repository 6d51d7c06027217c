//! Lines to an MQTT broker (MQTT 3.1.1, QoS 1), from a thread of its own: the stream never waits for the network.
//!
//! Frames go to `topic`, what happens to identities to `topic/events`, and `topic/status` holds `{"status":"online"}` or, as the last will,
//! `{"status":"offline"}`, both retained. While the broker is away a limited number of messages waits, frames and events apart; the
//! oldest are dropped and counted.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS,
    TlsConfiguration, Transport,
};
use tokio::{sync::Notify, time};

use super::{
    connect::Target,
    link::{CLOSING, Connection, Link, Shared, Wake},
    output::OpenError,
    report::Reporter,
    waiting::{Kind, LARGEST, Order},
};

/// Messages that are handed to the client ahead.
const AHEAD: usize = 16;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// First and longest wait before another attempt to connect.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

const ONLINE: &str = r#"{"status":"online"}"#;
const OFFLINE: &str = r#"{"status":"offline"}"#;

/// What a message goes to.
enum Subject {
    Of(Kind),
    /// That somebody publishes; retained.
    Status,
}

/// What the tasks of the thread wait for.
#[derive(Default)]
struct Bells {
    /// Something is waiting, or it is closing time.
    waiting: Notify,
    closing: Notify,
    /// The broker has acknowledged another message.
    settled: Notify,
    /// The broker is to be told that somebody publishes.
    is_unannounced: AtomicBool,
}

impl Wake for Bells {
    fn wake(&self) {
        self.waiting.notify_one();
    }

    fn close(&self) {
        self.waiting.notify_one();
        self.closing.notify_one();
    }
}

/// Begins to connect to a broker.
pub(super) fn open(target: Target, report: Reporter) -> Result<impl Connection, OpenError> {
    let shared = Shared::new(Bells::default(), Order::EventsFirst, report);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let session = Session {
        shared: shared.clone(),
        topic: target.address.topic.clone(),
    };
    let options = options(target);
    let work = move || runtime.block_on(session.run(options));
    Ok(Link::start("reid-mqtt", shared, work)?)
}

fn options(target: Target) -> MqttOptions {
    let address = target.address;
    let mut options = MqttOptions::new(target.client, &address.server.host, address.server.port);
    if let Some(connector) = target.tls {
        let tls = TlsConfiguration::NativeConnector(connector);
        options.set_transport(Transport::tls_with_config(tls));
    }
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(LARGEST, LARGEST);
    let will = LastWill::new(status(&address.topic), OFFLINE, QoS::AtLeastOnce, true);
    options.set_last_will(will);
    if let Some(user) = &address.user {
        options.set_credentials(user, address.password.as_deref().unwrap_or_default());
    }
    options
}

/// Why there is no connection, with the remedy where it is about certificates.
fn reason(error: &ConnectionError) -> String {
    let ConnectionError::Tls(tls) = error else {
        return error.to_string();
    };
    let text = tls.to_string();
    let remedy = if text.contains("certificate verify failed") {
        "The broker's certificate is not trusted: set ca-file to the certificate of its authority, and use the host's name that the certificate has"
    } else if text.contains("hostname mismatch") || text.contains("IP address mismatch") {
        "Use the host's name that the broker's certificate has"
    } else {
        "Check that this port of the broker speaks TLS, and whether it wants a certificate (certificate-file, key-file)"
    };
    format!("{text}. {remedy}")
}

fn status(topic: &str) -> String {
    format!("{topic}/status")
}

/// What the thread works with.
struct Session {
    shared: Arc<Shared<Bells>>,
    topic: String,
}

impl Session {
    async fn run(self, options: MqttOptions) {
        let (client, events) = AsyncClient::new(options, AHEAD);
        let late = async {
            self.shared.wake.closing.notified().await;
            time::sleep(CLOSING).await;
        };
        let mut receive = pin!(self.receive(events));
        let mut late = pin!(late);
        tokio::select! {
            () = &mut receive => return,
            () = &mut late => return,
            () = self.send(&client) => {}
        }
        // Handed over: until the broker has acknowledged it.
        tokio::select! {
            () = receive => {}
            () = late => {}
        }
    }

    /// Hands messages to the client, which takes a few ahead, until closing time.
    async fn send(&self, client: &AsyncClient) {
        let mut handed = 0;
        while let Some((subject, text)) = self.next().await {
            let (topic, is_retained) = match subject {
                Subject::Of(Kind::Frame) => (self.topic.clone(), false),
                Subject::Of(Kind::Event) => (format!("{}/events", self.topic), false),
                Subject::Status => (status(&self.topic), true),
            };
            handed += 1;
            // Fails only when the other half is gone.
            let _ = client
                .publish(topic, QoS::AtLeastOnce, is_retained, text)
                .await;
        }
        let topic = status(&self.topic);
        let _ = client.publish(topic, QoS::AtLeastOnce, true, OFFLINE).await;
        handed += 1;
        // A connection that closes with acknowledgements unread is reset, and the broker loses what it has not read yet.
        while self.shared.count_arrived() < handed {
            self.shared.wake.settled.notified().await;
        }
        let _ = client.disconnect().await;
    }

    /// The next message; `None` at closing time when nothing waits.
    async fn next(&self) -> Option<(Subject, String)> {
        let bells = &self.shared.wake;
        loop {
            let woken = bells.waiting.notified();
            if bells.is_unannounced.swap(false, Ordering::AcqRel) {
                return Some((Subject::Status, ONLINE.to_owned()));
            }
            // Asked before the queue is: what is pushed before closing time is found.
            let is_closing = self.shared.is_closing();
            if let Some((kind, text)) = self.shared.pop() {
                return Some((Subject::Of(kind), text));
            }
            if is_closing {
                return None;
            }
            woken.await;
        }
    }

    /// Keeps the connection up, until it is closed.
    async fn receive(&self, mut events: EventLoop) {
        let bells = &self.shared.wake;
        let mut wait = WAITS.0;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    wait = WAITS.0;
                    bells.is_unannounced.store(true, Ordering::Release);
                    bells.waiting.notify_one();
                    self.shared.connected();
                }
                Ok(Event::Incoming(Packet::PubAck(_))) => {
                    self.shared.arrived();
                    bells.settled.notify_one();
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => {}
                Err(error) => {
                    self.shared.away(|| reason(&error));
                    if self.shared.is_closing() {
                        return;
                    }
                    time::sleep(wait).await;
                    wait = (wait * 2).min(WAITS.1);
                }
            }
        }
    }
}
