// To be imported by tests of many processes under load, whose code others run too: counting for coverage how often each part
// of it runs costs a process a third more CPU, and a start half as much again.
delete process.env.NODE_V8_COVERAGE
