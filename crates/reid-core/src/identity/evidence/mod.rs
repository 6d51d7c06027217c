//! What is known of people, each kind in a file of its own: crops of a visit fused ([`visit`]), what cameras and moments add
//! to everybody's vectors ([`variation`], [`camera_bias`]), who stands in one place that two cameras see ([`floor`]), whether two
//! cameras share people ([`overlap`]), where and when people can be ([`topology`]) and how long they take ([`transit`]).
//!
//! None of these knows an identity's number. A new kind of evidence goes here, and its say into
//! [`super::resolve`], `Scene::compare`.

pub(in crate::identity) mod camera_bias;
pub(in crate::identity) mod floor;
pub(in crate::identity) mod homography;
pub(in crate::identity) mod overlap;
pub mod topology;
pub(in crate::identity) mod transit;
pub(in crate::identity) mod variation;
pub(in crate::identity) mod visit;
