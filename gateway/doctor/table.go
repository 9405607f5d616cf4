package doctor

// checks are all there are, in the order in which they are told of.
var checks = []check{
	gatewayCheck, fileCheck, kernelCheck, rightsCheck, limitsCheck, timeCheck,
	addressCheck, duplicateCheck, portCheck, routesCheck,
	reachCheck, neighboursCheck, mtuCheck, probeCheck, groupsCheck,
	reverseCheck, firewallCheck, conntrackCheck,
	buffersCheck, offloadsCheck, hashCheck, queuesCheck, xdpCheck,
}
