package integration

const envHelper = "SKYCTL_TEST_HELPER"

func helper(string) int { return 1 }
