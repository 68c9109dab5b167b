const NodeEnvironment = require('jest-environment-node')

/** Jest before 28 reads no "exports", and hides the globals that are newer than itself. */
module.exports = class extends NodeEnvironment {
  async setup() {
    await super.setup()
    Object.assign(this.global, { Blob, fetch, structuredClone })
  }
}
