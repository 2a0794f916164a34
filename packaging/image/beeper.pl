#!/usr/bin/perl
# A beeper for an emulated machine that has none: an input device of the kernel that takes tones, and says on the console what it is
# asked to sound. It stays when whoever started it goes on.
use strict;
use warnings;

# As in linux/uinput.h and linux/input-event-codes.h.
my ($UI_DEV_CREATE, $UI_SET_EVBIT, $UI_SET_SNDBIT) = (0x5501, 0x40045564, 0x4004556a);
my ($BUS_VIRTUAL, $EV_SND, $SND_TONE) = (6, 0x12, 2);

sysopen(my $device, '/dev/uinput', 2) or die "cannot open /dev/uinput: $!\n";
ioctl($device, $UI_SET_EVBIT, $EV_SND) or die "cannot make sounds: $!\n";
ioctl($device, $UI_SET_SNDBIT, $SND_TONE) or die "cannot make tones: $!\n";
# struct uinput_user_dev: a name, who made it, and the ranges of axes that it has not.
syswrite($device, pack('a80 S4 L x1024', 'emulated beeper', $BUS_VIRTUAL, 1, 1, 1, 0)) or die "cannot describe the beeper: $!\n";
ioctl($device, $UI_DEV_CREATE, 0) or die "cannot make the beeper: $!\n";
exit 0 if fork;

$| = 1;
# struct input_event: two long words of time, type, code, value.
my $length = length pack('L!2 S2 l', (0) x 5);
while (sysread($device, my $event, $length)) {
    my (undef, undef, $type, $code, $value) = unpack('L!2 S2 l', $event);
    print "sounds at $value Hz\n" if $type == $EV_SND && $code == $SND_TONE;
}
