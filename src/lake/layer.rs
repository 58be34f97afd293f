//! The layers of a lake, and what a listing tells about an object.

/// One of the four layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Layer {
    /// CSV files as the shop exports them; a run never writes here.
    Sources,
    /// The same bytes under content-addressed names.
    Bronze,
    /// Typed rows and rejected rows.
    Silver,
    /// The tables that are served, the models and the manifests.
    Gold,
}

impl Layer {
    /// All layers, in the order of the data flow.
    pub const ALL: [Self; 4] = [Self::Sources, Self::Bronze, Self::Silver, Self::Gold];
    /// The layers that runs write to.
    pub const WRITTEN: [Self; 3] = [Self::Bronze, Self::Silver, Self::Gold];

    /// What `{layer}` in a location stands for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Path within the layer.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// When it was last written, in microseconds since 1970.
    pub written_at: i64,
}
