package doctor

var timeCheck = check{
	name:  "time",
	reads: "adjtimex(2): whether the kernel takes its clock for synchronised",
	means: "Frames are carried all the same. Events, captures and logs of several gateways cannot be put side by side.",
	mend:  "`timedatectl set-ntp true`, or chrony",
	run:   examineTime,
}

func examineTime(e *exam) {
	switch is, err := e.Machine.Synchronised(); {
	case err != nil:
		e.unseen("the clock", err)
	case !is:
		e.warn("timedatectl set-ntp true", "nothing keeps the clock right: times of events and captures do not agree with those of other machines")
	default:
		e.ok("the clock is synchronised")
	}
}
