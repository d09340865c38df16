//! Screens and keyboards, emulated and paravirtual.

use crate::json::{names, record};

record! {
    /// libxl's `vnc_info`.
    VncInfo {
        /// `vnc=`
        enable: Option<bool>,
        /// `vnclisten=`: address, or address and display.
        listen: Option<String>,
        /// `vncpasswd=`
        passwd: Option<String>,
        /// `vncdisplay=`
        display: i32,
        /// `vncunused=`: take the first free display.
        findunused: Option<bool>,
    }
}

record! {
    /// libxl's `sdl_info`.
    SdlInfo {
        /// `sdl=`
        enable: Option<bool>,
        /// `opengl=`
        opengl: Option<bool>,
        /// `display=`
        display: Option<String>,
        /// `xauthority=`
        xauthority: Option<String>,
    }
}

record! {
    /// libxl's `spice_info`.
    SpiceInfo {
        /// `spice=`
        enable: Option<bool>,
        /// `spiceport=`
        port: i32,
        /// `spicetls_port=`
        tls_port: i32,
        /// `spicehost=`
        host: Option<String>,
        /// `spicedisable_ticketing=`
        disable_ticketing: Option<bool>,
        /// `spicepasswd=`
        passwd: Option<String>,
        /// `spiceagent_mouse=`
        agent_mouse: Option<bool>,
        /// `spicevdagent=`
        vdagent: Option<bool>,
        /// `spice_clipboard_sharing=`
        clipboard_sharing: Option<bool>,
        /// `spiceusbredirection=`
        usbredirection: i32,
        /// `spice_image_compression=`
        image_compression: Option<String>,
        /// `spice_streaming_video=`
        streaming_video: Option<String>,
    }
}

names! {
    /// The emulated graphics card.
    VgaKind, "a graphics card" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Cirrus Logic GD5446.
        Cirrus = "cirrus",
        /// VGA with VESA modes.
        Std = "std",
        /// None.
        None = "none",
        /// QXL.
        Qxl = "qxl",
    }
}

record! {
    /// libxl's `vga_interface_info`.
    VgaInfo {
        /// `vga=`
        kind: VgaKind,
    }
}

record! {
    /// libxl's `device_vfb`.
    Vfb {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// The back end's domain by name.
        backend_domname: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
        /// VNC server.
        vnc: VncInfo,
        /// Window in dom0.
        sdl: SdlInfo,
        /// `keymap=`
        keymap: Option<String>,
    }
}

names! {
    /// Who serves a virtual keyboard.
    VkbBackend, "a keyboard back end" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// QEMU.
        Qemu = "qemu",
        /// A program in dom0.
        Linux = "linux",
    }
}

record! {
    /// libxl's `device_vkb`.
    Vkb {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
        /// `backend-type=`
        backend_type: VkbBackend,
        /// `unique-id=`
        unique_id: Option<String>,
        /// `feature-disable-keyboard=`
        feature_disable_keyboard: bool,
        /// `feature-disable-pointer=`
        feature_disable_pointer: bool,
        /// `feature-abs-pointer=`
        feature_abs_pointer: bool,
        /// `feature-raw-pointer=`
        feature_raw_pointer: bool,
        /// `feature-multi-touch=`
        feature_multi_touch: bool,
        /// `width=`
        width: u32,
        /// `height=`
        height: u32,
        /// `multi-touch-width=`
        multi_touch_width: u32,
        /// `multi-touch-height=`
        multi_touch_height: u32,
        /// `multi-touch-num-contacts=`
        multi_touch_num_contacts: u32,
    }
}

record! {
    /// libxl's `connector_param`.
    DisplayConnector {
        /// Name.
        unique_id: Option<String>,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    }
}

record! {
    /// libxl's `device_vdispl`.
    Vdispl {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
        /// `be-alloc=`
        be_alloc: bool,
        /// `connectors=`
        connectors: Vec<DisplayConnector>,
    }
}
