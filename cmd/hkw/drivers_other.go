//go:build !darwin && !windows

package main

// platformDriver is the driver to choose where no sound server is; here there is none.
const platformDriver = ""

var platformDrivers []driverKind
