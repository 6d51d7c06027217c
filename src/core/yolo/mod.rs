//! yolo
