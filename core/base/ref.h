// Intrusive reference counting: one allocation per object, handles of one pointer.

#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "core/base/object_pool.h"

namespace trireme {

/// Base of objects shared through Ref<T>. Counting is thread-safe; the object itself is only as
/// thread-safe as its class says.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  /// One owner. Requires an object that nobody else knows: it saves the atomic update.
  void start_count() const { count_.store(1, std::memory_order_relaxed); }
  void add_ref() const { count_.fetch_add(1, std::memory_order_relaxed); }
  void drop_ref() const {
    // A sole owner needs no read-modify-write: nobody else can change the count any more.
    if (count_.load(std::memory_order_acquire) == 1 ||
        count_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const_cast<RefCounted*>(this)->on_last_ref();
    }
  }
  // Objects come from the pool: each op makes and drops a few.
  static void* operator new(size_t bytes) { return pool_allocate(bytes); }
  static void operator delete(void* object, size_t bytes) { pool_free(object, bytes); }

  bool is_sole_owner() const { return count_.load(std::memory_order_acquire) == 1; }

 protected:
  virtual ~RefCounted() = default;
  /// Called once, when the last handle is gone. The default deletes the object; graph nodes
  /// override it to destroy long chains without recursion.
  virtual void on_last_ref() { delete this; }

 private:
  mutable std::atomic<int32_t> count_{0};
};

/// Shared handle to a RefCounted object; may be null.
template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* object) : object_(object) {
    if (object_) object_->add_ref();
  }
  /// Takes over a fresh object that no other handle knows yet.
  static Ref adopt(T* fresh) {
    Ref result;
    fresh->start_count();
    result.object_ = fresh;
    return result;
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
  Ref(const Ref<U>& other) : Ref(other.get()) {}
  template <typename U>
  Ref(Ref<U>&& other) : object_(other.release()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->drop_ref();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref& other) const { return object_ == other.object_; }
  /// Gives the reference away without dropping it.
  T* release() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace trireme
