//! The program's own networks, part of the program: what runs where nothing is installed.

/// Name of the built-in recogniser. Strangers come as near as 0.34 (1 % of them; 0.38 in the dark) by it, so it must not
/// decide alone who is whom.
pub const BUILT_IN_EMBEDDING: &str = "understudy_embedding";

/// Name in the list of networks, and the file.
pub(super) const BUILT_IN: [(&str, &[u8]); 4] = [
    ("understudy_detector", include_bytes!("../../models/own/detector.onnx")),
    ("understudy_landmarks", include_bytes!("../../models/own/landmarks.onnx")),
    (BUILT_IN_EMBEDDING, include_bytes!("../../models/own/embedding.onnx")),
    ("understudy_verifier", include_bytes!("../../models/own/verifier.onnx")),
];
