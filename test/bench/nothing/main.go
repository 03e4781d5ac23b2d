// Command nothing does nothing: what it takes is what any program written in Go takes at least.
package main

func main() {}
