function compileConstructor(dtype, dimension) {
  // Leadglass: views of ndarray without code made of text, which the page's policy forbids.
  var throughMethods = dtype === "generic";
  function read(view, at) { return throughMethods ? view.data.get(at) : view.data[at]; }
  function write(view, at, value) { return throughMethods ? view.data.set(at, value) : (view.data[at] = value); }
  function isCount(value) { return typeof value === "number" && value >= 0; }
  var proto;
  if (dimension < 0) {
    var Nil = function (data) { this.data = data; };
    proto = Nil.prototype;
    proto.dtype = dtype;
    proto.dimension = -1;
    proto.size = 0;
    proto.shape = proto.stride = proto.order = [];
    proto.index = function () { return -1; };
    proto.lo = proto.hi = proto.transpose = proto.step = function () { return new Nil(this.data); };
    proto.get = proto.set = function () {};
    proto.pick = function () { return null; };
    return function (data) { return new Nil(data); };
  }
  if (dimension === 0) {
    var Point = function (data, offset) { this.data = data; this.offset = offset; };
    proto = Point.prototype;
    proto.dtype = dtype;
    proto.dimension = 0;
    proto.size = 1;
    proto.shape = proto.stride = proto.order = [];
    proto.index = function () { return this.offset; };
    proto.lo = proto.hi = proto.transpose = proto.step = function () { return new Point(this.data, this.offset); };
    proto.pick = function () { return CACHED_CONSTRUCTORS[dtype][0](this.data); };
    proto.valueOf = proto.get = function () { return read(this, this.offset); };
    proto.set = function (value) { return write(this, this.offset, value); };
    return function (data, shape, stride, offset) { return new Point(data, offset); };
  }
  var View = function (data, shape, stride, offset) {
    this.data = data;
    this.shape = shape;
    this.stride = stride;
    this.offset = offset | 0;
  };
  function place(view, indices) {
    var at = view.offset;
    for (var i = 0; i < dimension; ++i) at += view.stride[i] * indices[i];
    return at;
  }
  proto = View.prototype;
  proto.dtype = dtype;
  proto.dimension = dimension;
  Object.defineProperty(proto, "size", {
    get: function () { return this.shape.reduce(function (all, each) { return all * each; }, 1); },
  });
  Object.defineProperty(proto, "order", { get: function () { return order.call(this); } });
  proto.index = function () { return place(this, arguments); };
  proto.get = function () { return read(this, place(this, arguments)); };
  proto.set = function () { return write(this, place(this, arguments), arguments[dimension]); };
  proto.hi = function () {
    var shape = [];
    for (var i = 0; i < dimension; ++i) shape.push(isCount(arguments[i]) ? arguments[i] | 0 : this.shape[i]);
    return new View(this.data, shape, this.stride.slice(), this.offset);
  };
  proto.lo = function () {
    var shape = this.shape.slice(), offset = this.offset;
    for (var i = 0; i < dimension; ++i) {
      if (!isCount(arguments[i])) continue;
      var skipped = arguments[i] | 0;
      offset += this.stride[i] * skipped;
      shape[i] -= skipped;
    }
    return new View(this.data, shape, this.stride.slice(), offset);
  };
  proto.step = function () {
    var shape = this.shape.slice(), stride = this.stride.slice(), offset = this.offset;
    for (var i = 0; i < dimension; ++i) {
      if (typeof arguments[i] !== "number") continue;
      var by = arguments[i] | 0;
      if (by < 0) offset += stride[i] * (shape[i] - 1);
      shape[i] = Math.ceil(shape[i] / Math.abs(by));
      stride[i] *= by;
    }
    return new View(this.data, shape, stride, offset);
  };
  proto.transpose = function () {
    var shape = [], stride = [];
    for (var i = 0; i < dimension; ++i) {
      var from = arguments[i] === undefined ? i : arguments[i] | 0;
      shape.push(this.shape[from]);
      stride.push(this.stride[from]);
    }
    return new View(this.data, shape, stride, this.offset);
  };
  proto.pick = function () {
    var shape = [], stride = [], offset = this.offset;
    for (var i = 0; i < dimension; ++i) {
      if (isCount(arguments[i])) {
        offset = (offset + this.stride[i] * arguments[i]) | 0;
      } else {
        shape.push(this.shape[i]);
        stride.push(this.stride[i]);
      }
    }
    return CACHED_CONSTRUCTORS[dtype][shape.length + 1](this.data, shape, stride, offset);
  };
  return function (data, shape, stride, offset) {
    return new View(data, shape.slice(0, dimension), stride.slice(0, dimension), offset);
  };
}
