//! The program's own networks, part of the program: what runs where nothing is installed.

/// Name in the list of networks, and the file.
pub(super) const BUILT_IN: [(&str, &[u8]); 3] = [
    ("understudy_detector", include_bytes!("../../models/own/detector.onnx")),
    ("understudy_landmarks", include_bytes!("../../models/own/landmarks.onnx")),
    ("understudy_embedding", include_bytes!("../../models/own/embedding.onnx")),
];
