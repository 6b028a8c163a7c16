//! Which devices this build can compute on.

use burn::tensor::Device;

/// Names of all devices that a build may have; `cpu` always is there.
pub const DEVICES: [&str; 4] = ["cpu", "vulkan", "metal", "webgpu"];

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is code for it, but not in this build.
    #[error("device `{name}` is not in this build\nhint: build with `--features {name}`")]
    NotBuilt {
        /// What was asked.
        name: String,
    },
    /// No such device.
    #[error("unknown device `{name}`\nhint: known are {}", DEVICES.join(", "))]
    Unknown {
        /// What was asked.
        name: String,
    },
}

/// The device of that name.
///
/// # Errors
/// If there is none, or this build lacks it.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(burn::tensor::DeviceKind::DefaultDevice)),
        // burn's own `webgpu` is the browser's; this one is whatever the system has.
        #[cfg(feature = "webgpu")]
        "webgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        _ if DEVICES.contains(&name) => Err(DeviceError::NotBuilt { name: name.to_owned() }),
        _ => Err(DeviceError::Unknown { name: name.to_owned() }),
    }
}

/// Names of the devices in this build.
pub fn built_devices() -> Vec<&'static str> {
    let built = [true, cfg!(feature = "vulkan"), cfg!(feature = "metal"), cfg!(feature = "webgpu")];
    DEVICES.into_iter().zip(built).filter_map(|(name, built)| built.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_devices_name_the_feature_or_the_known_ones() {
        assert!(device("cpu").is_ok());
        assert!(device("abacus").unwrap_err().to_string().contains("known are cpu, vulkan, metal, webgpu"));
        for name in DEVICES.into_iter().filter(|name| !built_devices().contains(name)) {
            assert!(device(name).unwrap_err().to_string().contains(&format!("--features {name}")));
        }
    }
}
