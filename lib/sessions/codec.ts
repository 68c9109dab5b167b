import { Deserializer, Serializer } from 'node:v8'
import type { Codec } from '../types.js'
import { findUncloneable, PLAIN, prototypesOf } from './cloneable.js'

/** Node's own serialisation, in base64. */
export const v8Codec: Codec<unknown> = {
  encode(value) {
    const foreign = findUncloneable(value, SERIALIZABLE)
    if (foreign !== undefined)
      throw new TypeError(`it has ${foreign} in it, which would not arrive whole elsewhere`)
    const writer = new Writer()
    writer.writeHeader()
    writer.writeValue(value)
    return writer.releaseBuffer().toString('base64')
  },
  decode(text) {
    const reader = new Reader(Buffer.from(text, 'base64'))
    reader.readHeader()
    return reader.readValue()
  },
}

const SERIALIZABLE = prototypesOf([...PLAIN, Buffer])

/** Writes of a view what it shows, where V8 by itself writes all that lies under it: of a small Buffer, Node's whole pool. */
class Writer extends Serializer {
  /** Node's, documented; its types don't know it. */
  declare _setTreatArrayBufferViewsAsHostObjects: (flag: boolean) => void

  constructor() {
    super()
    this._setTreatArrayBufferViewsAsHostObjects(true)
  }

  _writeHostObject(view: ArrayBufferView): void {
    const kind = VIEWS.findIndex(({ prototype }) => prototype === Object.getPrototypeOf(view))
    if (kind < 0) throw new TypeError(`no such kind of view is known: ${view.constructor.name}`)
    this.writeUint32(kind)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(view as NodeJS.TypedArray)
  }
}

/** Gives each view memory of its own, where `v8.deserialize` gives all of them the same, or Node's pool. */
class Reader extends Deserializer {
  _readHostObject(): unknown {
    const view = VIEWS[this.readUint32()]
    if (view === undefined) throw new TypeError('a kind of view that is not known')
    return view.make(new Uint8Array(this.readRawBytes(this.readUint32())).buffer)
  }
}

/** A kind of view of an ArrayBuffer. */
interface View {
  readonly prototype: unknown
  make(buffer: ArrayBuffer): ArrayBufferView
}

interface ViewConstructor {
  new (buffer: ArrayBuffer): ArrayBufferView
  readonly prototype: unknown
}

/** Node has it since version 24. */
const { Float16Array } = globalThis as { Float16Array?: ViewConstructor }

/** Their places here stand in what is written: new ones go to the end. */
const VIEWS: readonly View[] = [
  { prototype: Buffer.prototype, make: buffer => Buffer.from(buffer) },
  ...[
    DataView,
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    ...(Float16Array === undefined ? [] : [Float16Array]),
  ].map(
    (Kind: ViewConstructor): View => ({
      prototype: Kind.prototype,
      make: buffer => new Kind(buffer),
    }),
  ),
]
