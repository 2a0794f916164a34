//! What the lights and the speaker did, from the log in which qemu notes what the hardware is told, one line each with
//! the seconds since 1970: `28403@1795553735.080246:ps2_set_ledstate 0x5625ecf21c00 ledstate 4`.

use std::fs;
use std::path::Path;
