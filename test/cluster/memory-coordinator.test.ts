import { fakeClock } from '../../lib/testing/index.ts'
import { describeCoordinator } from '../contract/coordinator.ts'
import { MemoryCluster } from '../support/cluster/memory-cluster.ts'
import { MemoryCoordinator } from '../support/cluster/memory-coordinator.ts'

// The coordinator that other tests use also meets the contract.
describeCoordinator('in memory', () => {
  const clock = fakeClock()
  const cluster = new MemoryCluster(clock)
  return {
    clock,
    node() {
      const coordinator = new MemoryCoordinator(cluster)
      return {
        coordinator,
        holdMessages: () => coordinator.hold('messages'),
        cut: () => coordinator.cut(),
        kill: () => coordinator.kill(),
      }
    },
    rest: () => cluster.rest(),
  }
})
